from django.db import models


class Order(models.Model):
    customer = models.CharField(max_length=50)
    item = models.CharField(max_length=100)
    note = models.TextField()
    price = models.DecimalField(max_digits=8, decimal_places=2)

    def as_json(self):
        return {
            "number": self.pk,
            "customer": self.customer,
            "item": self.item,
            "note": self.note,
            "price": str(self.price),
        }
