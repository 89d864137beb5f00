"""A check of django-health-check (4 or newer), in the ``checks`` of its view::

HealthCheckView.as_view(checks=["hangup.django.health.Descriptors"])
"""

from __future__ import annotations

import dataclasses

from health_check.base import HealthCheck
from health_check.exceptions import ServiceUnavailable, ServiceWarning

from .. import _hangup


@dataclasses.dataclass
class Descriptors(HealthCheck):  # type: ignore[misc]
    """Whether descriptors are left for the next clients, and nobody closes connections under their server.

    Attributes:
        most: the share of the limit that may be open.
    """

    most: float = 0.9

    def run(self) -> None:
        """Asks; the check's own errors say what is wrong."""
        is_open, _, limit = _hangup.count()
        if is_open > limit * self.most:
            raise ServiceUnavailable(f"{is_open} of {limit} descriptors are open")
        violations = _hangup.totals()["ownership_violations"]
        if violations:
            raise ServiceWarning(f"{violations} connections were closed under their server")
