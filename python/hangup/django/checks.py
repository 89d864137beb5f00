"""The system checks: tag ``hangup``; their ids are stable, and ``SILENCED_SYSTEM_CHECKS`` takes them.

They are the doctor's rules (:mod:`hangup._doctor`), asked about the settings of this process and the deployment files
of ``BASE_DIR``, or of the folder that it runs in; with ``--deploy`` about the sources as well. What only this process
knows is added. ``docs/django.md`` and ``docs/doctor.md`` say what to do about each.
"""

from __future__ import annotations

import os
from typing import Any, Optional

from django.conf import settings
from django.core.checks import CheckMessage, Error, Info
from django.core.checks import Warning as Caution

from .. import _mode, _status
from .._doctor import Asked, Finding, examine, gather
from .._doctor.facts import Django
from .._doctor.rules.django import MIDDLEWARE
from .._doctor.values import Place, Value

#: Settings that rules ask for.
_ASKED = ("CHANNEL_LAYERS", "DATABASES", "HANGUP", "INSTALLED_APPS", "MIDDLEWARE")


def check(**_asked: Any) -> list[CheckMessage]:
    """What is asked each time; Django calls this."""
    found: list[Optional[CheckMessage]] = [_message(finding) for finding in findings(with_sources=False)]
    return [message for message in [*found, _switch(), _stock()] if message is not None]


def check_deployment(**_asked: Any) -> list[CheckMessage]:
    """What ``--deploy`` adds; Django calls this."""
    already = set(findings(with_sources=False))
    return [_message(finding) for finding in findings(with_sources=True) if finding not in already]


def findings(with_sources: bool) -> list[Finding]:
    """What the rules say of this process, and of the folder that it runs in."""
    folder = str(getattr(settings, "BASE_DIR", os.curdir))
    paths = (folder if os.path.isdir(folder) else os.curdir,)
    return examine(gather(Asked(paths, with_sources=with_sources, django=_of_this_process())))


def _of_this_process() -> Django:
    """The settings as they are."""
    place = Place(os.environ.get("DJANGO_SETTINGS_MODULE", "settings"))
    known = {name: Value(getattr(settings, name), place) for name in _ASKED if hasattr(settings, name)}
    names = list(getattr(settings, "MIDDLEWARE", None) or ())
    below = names[names.index(MIDDLEWARE) + 1 :] if MIDDLEWARE in names else []
    return Django(place, known, True, frozenset(name for name in below if _answers_for_exceptions(name)))


def _answers_for_exceptions(name: str) -> bool:
    from django.utils.module_loading import import_string

    try:
        return hasattr(import_string(name), "process_exception")
    except ImportError:  # Django says so itself, when it starts
        return False


def _message(finding: Finding) -> CheckMessage:
    """A finding as Django shows it.

    Only what is wrong with Django's own settings is an error here: errors end ``migrate`` and ``runserver``, which do
    not need nginx.
    """
    rule = finding.rule
    name = rule.django or rule.code
    text = finding.text if rule.django else f"{finding.place}: {finding.text}"
    kind = Error if name.startswith("E") else Info if rule.severity == "info" else Caution
    return kind(text, hint=rule.mend, id=f"hangup.{name}")


def _switch() -> Optional[CheckMessage]:
    mode = _mode.mode()
    if mode == _mode.ON:
        return None
    return Info(f"HANGUP={mode} in the environment: nothing is changed", id="hangup.I001")


def _stock() -> Optional[CheckMessage]:
    facts = _status.status()["integrations"].get("django", {})
    if facts.get("state") != "stock":
        return None
    hint = "requests under ASGI are not told whether their client is there"
    return Caution(facts["reason"], hint=hint, id="hangup.W003")
