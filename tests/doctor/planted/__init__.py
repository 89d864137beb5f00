"""Faults, each planted into a deployment that has none, and that deployment's sound twin."""

from __future__ import annotations

from doctor.planted import application, django, gunicorn, nginx, systemd, versions

PLANTED = [
    planted
    for module in (gunicorn, application, nginx, systemd, django, versions)
    for planted in module.PLANTED
]

__all__ = ["PLANTED"]
