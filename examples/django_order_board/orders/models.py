"""What is on the board."""

from django.db import models


class Order(models.Model):
    """Something to be made for its owner."""

    class Status(models.TextChoices):
        """In the order in which an order goes through them."""

        PLACED = "placed"
        PREPARING = "preparing"
        READY = "ready"
        COLLECTED = "collected"

    item = models.CharField(max_length=60)
    owner = models.CharField(max_length=20)
    status = models.CharField(max_length=10, choices=Status.choices, default=Status.PLACED)

    def as_json(self) -> dict[str, object]:
        """As the page knows it."""
        return {"id": self.pk, "item": self.item, "owner": self.owner, "status": self.status}
