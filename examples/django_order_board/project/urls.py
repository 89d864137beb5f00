"""The page, and the requests that it makes."""

from django.urls import path
from orders import views

urlpatterns = [
    path("", views.page),
    path("sign-in", views.sign_in),
    path("ticket", views.ticket),
    path("orders", views.place),
    path("orders/<int:number>/status", views.move),
    path("hangup", views.counted),
]
