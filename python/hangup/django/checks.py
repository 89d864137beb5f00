"""The system checks: tag ``hangup``; their ids are stable, and ``SILENCED_SYSTEM_CHECKS`` takes them.

``docs/django.md`` says what to do about each.
"""

from __future__ import annotations

import os
import shlex
from typing import Any, Optional

from django.conf import settings
from django.core.checks import CheckMessage, Error, Info
from django.core.checks import Warning as Caution

from .. import _mode, _status
from . import conf

MIDDLEWARE = "hangup.django.DisconnectMiddleware"
MEMORY_LAYER = "channels.layers.InMemoryChannelLayer"
#: The first gunicorn without it.
_WITHOUT_EVENTLET = 26


def check(**_asked: Any) -> list[CheckMessage]:
    """All of them; Django calls this."""
    _, wrong = conf.read()
    found: list[Optional[CheckMessage]] = [
        *(Error(what, hint="see docs/django.md", id="hangup.E002") for what in wrong),
        _middleware(list(getattr(settings, "MIDDLEWARE", None) or ())),
        _eventlet(),
        _memory_layer(),
        _switch(),
        _stock(),
    ]
    return [message for message in found if message is not None]


def _middleware(names: list[str]) -> Optional[CheckMessage]:
    if MIDDLEWARE not in names:
        hint = f"add it as the last one: MIDDLEWARE += [{MIDDLEWARE!r}]"
        return Caution(f"{MIDDLEWARE} is not in MIDDLEWARE", hint=hint, id="hangup.W001")
    below = [name for name in names[names.index(MIDDLEWARE) + 1 :] if _answers_for_exceptions(name)]
    if names.count(MIDDLEWARE) == 1 and not below:
        return None
    what = f"below it, {below[0]} is asked first about exceptions" if below else "it is there more than once"
    return Error(f"{MIDDLEWARE} has to be the last: {what}", hint="move it to the end", id="hangup.E001")


def _answers_for_exceptions(name: str) -> bool:
    from django.utils.module_loading import import_string

    try:
        return hasattr(import_string(name), "process_exception")
    except ImportError:  # Django says so itself, when it starts
        return False


def _arguments() -> list[str]:
    return shlex.split(os.environ.get("GUNICORN_CMD_ARGS", ""))


def _option(arguments: list[str], *names: str) -> str:
    """The last value of a command line option, as ``-k gevent``, ``-kgevent`` or ``--name=value``."""
    value = ""
    for place, word in enumerate(arguments):
        for name in names:
            if word == name:
                value = (arguments[place + 1 : place + 2] or [""])[0]
            elif word.startswith(f"{name}=") or (len(name) == 2 and word.startswith(name)):
                value = word[len(name) :].lstrip("=")
    return value


def _eventlet() -> Optional[CheckMessage]:
    from importlib.metadata import PackageNotFoundError, version

    if _option(_arguments(), "-k", "--worker-class") != "eventlet":
        return None
    try:
        major = int(version("gunicorn").partition(".")[0])
    except (PackageNotFoundError, ValueError):
        return None
    if major < _WITHOUT_EVENTLET:
        return None
    hint = "use gthread, with threads, or gevent"
    return Error(f"gunicorn {major} has no eventlet worker any more", hint=hint, id="hangup.E003")


def _memory_layer() -> Optional[CheckMessage]:
    layers = getattr(settings, "CHANNEL_LAYERS", None) or {}
    inside = [name for name, layer in layers.items() if layer.get("BACKEND") == MEMORY_LAYER]
    number = _option(_arguments(), "-w", "--workers") or os.environ.get("WEB_CONCURRENCY", "")
    if not inside or not number.isdigit() or int(number) < 2:
        return None
    return Caution(
        f"CHANNEL_LAYERS[{inside[0]!r}] is in memory, and there are {number} processes: a group_send reaches the "
        "clients of one of them",
        hint="use channels_redis",
        id="hangup.W002",
    )


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
