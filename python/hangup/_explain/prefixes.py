"""What stands before each line because of how a log was collected: journald, syslog, Docker, Kubernetes, JSON.

Promised: what remains is the line as the process wrote it. Lines that belong together have the same key.

How: one regular expression, asked until it finds no more. A time stamp that only begins a record, and not each of its
lines, is no prefix: :mod:`.heads` reads those.

Not promised: the fields of every JSON logger; those of the usual names are read.
"""

from __future__ import annotations

import json
import re
from typing import Any, NamedTuple, Optional

from .._printable import printable

_ISO = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:[.,]\d+)?(?:Z|[+-]\d\d:?\d\d)?"
_PREFIX = re.compile(
    r"(?P<key>\[pod/[^\]\s]+\]) "  # kubectl --prefix
    r"|(?P<name>[A-Za-z0-9][\w.-]{0,80}) {0,40}\| ?"  # docker compose
    rf"|(?P<written>{_ISO}) (?P<stream>stdout|stderr) [FP] "  # containerd
    r"|(?:<\d{1,3}>)?(?P<when>[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d(?:\.\d+)?) "  # journald, syslog
    r"[\w.:-]+ (?P<ident>[\w./@\\-]+(?:\[[\w.-]+\])?): ?"
    rf"|(?P<stamp>{_ISO}) (?:[\w.:-]+ )?(?P<process>[\w./@\\-]+\[[\w.-]+\]): ?"  # journald -o short-iso, Heroku
    # gunicorn's, where the lines of a traceback came one by one
    r"|\[(?P<record>\d{4}-\d\d-\d\d \d\d:\d\d:\d\d [+-]\d{4})\] \[\d+\] \[[A-Z]+\] "
    r"(?=Traceback \(most recent call last\)|  +\S|During handling of |The above exception was )"
    r"|(?P<nano>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6,9}(?:Z|[+-]\d\d:\d\d)) "  # docker logs --timestamps
)
_ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\-_])")
_TEXTS = ("message", "msg", "MESSAGE", "event", "textPayload", "text")
_TRACEBACKS = (
    "exc_info",
    "exception",
    "exc_text",
    "traceback",
    "stack_trace",
    "stacktrace",
    "error.stack_trace",
)
_TIMES = ("time", "timestamp", "@timestamp", "asctime", "ts", "datetime", "created", "__REALTIME_TIMESTAMP")
_LEVELS = ("level", "levelname", "severity", "log.level", "level_name", "lvl")
_LOGGERS = ("logger", "name", "logger_name", "log.logger")


class Line(NamedTuple):
    """One line as it was written.

    Attributes:
        key: what lines of the same process have in common.
        when: the collector's time stamp, as printed, or "".
        text: the line.
        record: whether ``text`` is a whole record, of several lines perhaps: a JSON logger's.
        level: of such a record, or "".
        logger: the same.
        repeats: whether it is a line of a traceback with the head of a record before it.
    """

    key: str
    when: str
    text: str
    record: bool = False
    level: str = ""
    logger: str = ""
    repeats: bool = False


def peel(text: str) -> Line:
    """Takes off what is not the process's."""
    if "\x1b" in text:
        text = _ESCAPES.sub("", text)
    if text[:1] in (" ", "\t", ""):
        return Line("", "", text)
    key = when = ""
    repeats = False
    for _ in range(4):
        found = _PREFIX.match(text)
        if found is None:
            break
        text = text[found.end() :]
        parts = found.groupdict("")
        when = parts["when"] or parts["stamp"] or parts["nano"] or parts["written"] or when
        if parts["record"]:
            when, repeats = parts["record"], True
            continue
        key += parts["key"] or parts["name"] or parts["stream"] or parts["ident"] or parts["process"] or "|"
    if text[:1] == "{" and text.rstrip()[-1:] == "}":
        return _json(key, when, text)
    return Line(key, when, text, repeats=repeats)


def _json(key: str, when: str, text: str) -> Line:
    try:
        fields = json.loads(text)
    except (ValueError, RecursionError):
        return Line(key, when, text)
    if not isinstance(fields, dict):
        return Line(key, when, text)
    log = fields.get("log")
    if isinstance(log, str):  # Docker's json-file: each line of the process is one document
        inner = peel(log.rstrip("\r\n"))
        key += str(fields.get("stream", "")) + inner.key
        return Line(
            key,
            inner.when or str(fields.get("time", "")),
            inner.text,
            inner.record,
            inner.level,
            inner.logger,
        )
    when = _first(fields, _TIMES) or when
    if "MESSAGE" in fields:  # journalctl -o json
        return Line(
            key + str(fields.get("_PID", "")), when, _first(fields, ("MESSAGE",)), "\n" in fields["MESSAGE"]
        )
    said, trace = _first(fields, _TEXTS), _first(fields, _TRACEBACKS)
    if not said and not trace:
        return Line(key, when, text)
    whole = said if trace in said else f"{said}\n{trace}"
    return Line(key, when, whole, True, _first(fields, _LEVELS).upper(), _first(fields, _LOGGERS))


def _first(fields: dict[str, Any], names: tuple[str, ...]) -> str:
    for name in names:
        value: Any = fields.get(name)
        if isinstance(value, (str, int, float)) and not isinstance(value, bool):
            return str(value)
        if isinstance(value, list) and all(isinstance(each, str) for each in value):
            return "\n".join(value)
    return ""


def plain(text: str, at_most: Optional[int] = None) -> str:
    """Foreign text on one line of a terminal: no control characters, cut to ``at_most`` characters."""
    if at_most is not None and len(text) > at_most:
        text = text[: at_most - 1] + "…"
    return printable(text)
