"""How records of the usual servers and formats begin: time, level, logger, message.

Promised: a line that begins none of them is part of what stands before it.

Not promised: any format. One of your own has to begin with a date, a level, or both.
"""

from __future__ import annotations

import datetime
import functools
import re
from typing import NamedTuple, Optional

from .._logs.table import TABLE

_LEVELS = "DEBUG|INFO|NOTICE|WARNING|WARN|ERROR|CRITICAL|FATAL|EXCEPTION"
_HEAD = re.compile(
    r"\[(?P<gunicorn>\d{4}-\d\d-\d\d \d\d:\d\d:\d\d [+-]\d{4})\] \[\d+\] \[(?P<glevel>[A-Z]+)\] "
    r"|(?P<nginx>\d{4}/\d\d/\d\d \d\d:\d\d:\d\d) \[(?P<nlevel>[a-z]+)\] \d+#\d+: "
    r"|\[?(?P<iso>\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d+)?(?: ?(?:Z|[+-]\d\d:?\d\d))?)\]?[\s,|:-]*"
    r"|(?P<peer>\S{1,64}) \S{1,64} \S{1,256} \[(?P<access>\d\d/\w{3}/\d{4}[: ]\d\d:\d\d:\d\d(?: [+-]\d{4})?)\] "
    r"|\[(?P<django>\d\d/\w{3}/\d{4} \d\d:\d\d:\d\d)\] "
    rf"|\[?(?P<level>{_LEVELS})\b\]?[:\s]+"
    r"|(?P<phrase>Exception in thread |Internal Server Error: |Error on request:|Exception on /"
    r"|Task exception was never|Future exception was never|Exception ignored in|Unhandled exception in "
    r"|Exception happened during processing of request)"
)
_LEVEL = re.compile(rf"(?:^|[\s\[|:-])({_LEVELS})(?=[\s\]|:,-]|$)")
_SEVERE = frozenset({"ERROR", "CRITICAL", "FATAL", "EXCEPTION", "CRIT", "ALERT", "EMERG"})
_LOGGER = re.compile("|".join(re.escape(name) for name in sorted(TABLE, key=len, reverse=True)))
#: What servers say before a traceback, to the logger that says it: the default formats leave the name out.
_SAYERS = (
    ("Socket error processing request", "gunicorn.error"),
    ("Error handling request", "gunicorn.error"),
    ("Exception in worker process", "gunicorn.error"),
    ("Error in ASGI application", "gunicorn.error"),
    ("Error in WebSocket application", "gunicorn.error"),
    ("Exception in thread ", "hangup.threads"),
    ("Error on request:", "werkzeug"),
    ("handler error", "engineio.server"),
    ("Internal Server Error: ", "django.request"),
    ("roken pipe from", "django.server"),
    ("Exception in ASGI application", "uvicorn.error"),
    ("Exception inside application", "daphne.server"),
    ("data transfer failed", "uvicorn.error"),
    ("exception was never retrieved", "asyncio"),
)
_STAMPS = (
    *("%Y-%m-%d %H:%M:%S %z", "%Y/%m/%d %H:%M:%S", "%d/%b/%Y:%H:%M:%S %z", "%d/%b/%Y %H:%M:%S"),
    *("%d/%b/%Y:%H:%M:%S", "%Y-%m-%d %H:%M:%S%z"),
)


class Head(NamedTuple):
    """How a record begins.

    Attributes:
        when: the time stamp as printed, or "".
        level: as printed, or "".
        message: the rest.
        access: whether it is one of an access log.
    """

    when: str
    level: str
    message: str
    access: bool = False

    @property
    def severe(self) -> bool:
        """Whether it is an error by its level."""
        return self.level.upper() in _SEVERE


@functools.lru_cache(maxsize=1024)  # a line is asked about several times
def head_of(text: str) -> Optional[Head]:
    """None, if no record begins here."""
    found = _HEAD.match(text)
    if found is None:
        return None
    parts = found.groupdict("")
    rest = text[found.end() :]
    if parts["phrase"]:
        return Head("", "ERROR", text)
    when = parts["gunicorn"] or parts["nginx"] or parts["iso"] or parts["access"] or parts["django"]
    level = parts["glevel"] or parts["nlevel"] or parts["level"]
    if parts["iso"]:
        named = _LEVEL.search(rest, 0, 120)
        level = named[1] if named else ""
    return Head(when, level, rest, bool(parts["access"] or parts["django"]))


def logger_of(lines: list[str]) -> str:
    """The row of the log filter's table that a record belongs to, by what it says before its traceback; or ""."""
    for text in lines:
        if named := _LOGGER.search(text):
            # "engineio.server", not a path or a part of another name
            after = text[named.end() : named.end() + 1]
            before = text[: named.start()][-1:]
            if (
                not (after.isalnum() or after in "./_")
                and not (before.isalnum() or before in "./_")
                and before
            ):
                return named[0]
        for phrase, logger in _SAYERS:
            if phrase in text:
                return logger
    return ""


@functools.lru_cache(maxsize=4096)
def moment(when: str) -> Optional[datetime.datetime]:
    """The time stamp, with a time zone: the one of this machine, if it has none of its own."""
    text = when.replace(",", ".").strip()
    if not text:
        return None
    found = _iso(text) or _other(text) or _seconds(text)
    if found is None:
        return None
    try:
        return found if found.tzinfo else found.astimezone()
    except (OverflowError, ValueError, OSError):
        return None


def _iso(text: str) -> Optional[datetime.datetime]:
    text = re.sub(r"(\.\d{1,6})\d*", lambda found: found[1].ljust(7, "0"), text.replace("Z", "+00:00"))
    text = re.sub(r" ?([+-]\d\d):?(\d\d)$", r"\1:\2", text) if text.count(":") > 1 else text
    try:
        return datetime.datetime.fromisoformat(text)
    except ValueError:
        return None


def _other(text: str) -> Optional[datetime.datetime]:
    for form in _STAMPS:
        try:
            return datetime.datetime.strptime(text, form)
        except ValueError:
            continue
    try:  # journald and syslog leave the year out: the last time that it was this date
        now = datetime.datetime.now()
        found = datetime.datetime.strptime(f"{now.year} {text.partition('.')[0]}", "%Y %b %d %H:%M:%S")
    except ValueError:
        return None
    return found if found <= now + datetime.timedelta(days=1) else found.replace(year=now.year - 1)


def _seconds(text: str) -> Optional[datetime.datetime]:
    """Since 1970, also in microseconds, as journald has it."""
    try:
        number = float(text)
        return datetime.datetime.fromtimestamp(
            number / 1e6 if number > 1e12 else number, datetime.timezone.utc
        )
    except (ValueError, OverflowError, OSError):
        return None
