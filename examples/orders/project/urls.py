from django.urls import path
from orders import views

urlpatterns = [
    path("health", views.health),
    path("sign-in", views.sign_in),
    path("orders", views.orders),
    path("orders/<int:number>/invoice", views.invoice),
    path("customers", views.customers),
    path("report", views.report),
]
