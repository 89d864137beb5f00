"""The setting ``HANGUP``: a dict, every key of it optional.

Promised: what is wrong in it is said by the system check ``hangup.E002`` and has its default.
"""

from __future__ import annotations

from django.conf import settings

from .._django_setting import Settings, judge


def read() -> tuple[Settings, list[str]]:
    """The settings, and what is wrong with them, in words."""
    return judge(getattr(settings, "HANGUP", {}))
