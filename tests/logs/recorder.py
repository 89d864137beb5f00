"""Writes what a server logs, prints about its threads and greenlets, and raises, as lines of JSON that can be replayed.

An application of the capture imports it last and calls `start()`: by then everything that is hooked is imported.
"""

from __future__ import annotations

import json
import logging
import os
import re
import sys
import threading
from importlib.metadata import version
from pathlib import Path
from types import FrameType
from typing import Any

from hangup import _install, logfilter
from hangup._logs import channels

_PACKAGES = [
    "gunicorn",
    "werkzeug",
    "gevent",
    "eventlet",
    "daphne",
    "uvicorn",
    "Django",
    "python-engineio",
    "simple-websocket",
    "starlette",
]
#: What connections know of who closed them.
_CLOSED = ("closedByMe", "close_code")
#: Where a file was is this machine's business.
_FOLDERS = re.compile(r"(?:/[^/\s\"']+)+/(?=[^/\s\"']+\.py\b)")
_lock = threading.Lock()
_said: set[tuple[str, str]] = set()


def start() -> None:
    """Records from here on, and demotes nothing. In a server that nobody records, installs hangup."""
    if "CAPTURED_TO" not in os.environ:
        _install.install()
        return
    logfilter.install("count")
    hear = channels.hear

    def recording(logger: str, message: str, failure: Any, trace: Any = None) -> bool:
        if failure is not None:
            failure = failure.with_traceback(trace or failure.__traceback__)
        _write(logger, logging.ERROR, message, failure)
        return hear(logger, message, failure, trace)

    channels.hear = recording
    _install.listen()
    stock = logging.Logger.handle

    def handle(self: logging.Logger, record: logging.LogRecord) -> None:
        # what is recorded as the filter would judge it, in the place of the filter
        if record.name in logfilter.TABLE and record.levelno >= logging.INFO:
            failure = record.exc_info[1] if isinstance(record.exc_info, tuple) else None
            if record.levelno > logging.INFO or failure is not None or "roken pipe" in str(record.msg):
                _write(record.name, record.levelno, str(record.msg), failure)
        stock(self, record)

    logging.Logger.handle = handle  # type: ignore[method-assign]


def _write(logger: str, level: int, message: str, failure: BaseException | None) -> None:
    handled = None if failure is not None else sys.exc_info()[1]
    message = _FOLDERS.sub("", message)
    callers = _callers() if failure is None else None
    if callers and handled is None and (logger, message) in _said:  # some say it for each byte
        return
    _said.add((logger, message))
    line = {
        "stack": os.environ["CAPTURED_STACK"],
        "scene": Path(os.environ["CAPTURED_TO"] + ".scene").read_text(),
        "logger": logger,
        "level": logging.getLevelName(level),
        "message": message if len(message) < 300 else message[:120] + "\n…\n" + message.rstrip()[-120:],
        "raised": _exception(failure),
        "handled": _exception(handled),
        "logged_by": callers,
        "versions": {name: found for name in _PACKAGES if (found := _version(name))},
    }
    with _lock, open(os.environ["CAPTURED_TO"], "a") as file:
        file.write(json.dumps({key: value for key, value in line.items() if value}) + "\n")


def _version(name: str) -> str:
    imported = {"python-engineio": "engineio", "Django": "django", "simple-websocket": "simple_websocket"}
    if imported.get(name, name) not in sys.modules:
        return ""
    return sys.modules["gunicorn"].__version__ if name == "gunicorn" else version(name)


def _exception(failure: BaseException | None, depth: int = 0) -> dict[str, Any] | None:
    if failure is None or depth > 4:
        return None
    frames, trace, closed = [], failure.__traceback__, {}
    while trace is not None:
        frame = trace.tb_frame
        frames.append([frame.f_globals.get("__name__"), frame.f_code.co_name])
        mine = frame.f_locals.get("self")
        closed = {name: bool(getattr(mine, name)) for name in _CLOSED if hasattr(mine, name)} or closed
        trace = trace.tb_next
    kind = type(failure)
    found = {
        "type": f"{kind.__module__}.{kind.__qualname__}",
        "bases": [f"{base.__module__}.{base.__qualname__}" for base in kind.__mro__[1:-1]],
        "says": str(failure)[:200],
        "errno": getattr(failure, "errno", None),
        "filename": getattr(failure, "filename", None) and "file",
        "frames": frames,
        "self": closed,
        "cause": _exception(failure.__cause__, depth + 1),
        "context": None if failure.__suppress_context__ else _exception(failure.__context__, depth + 1),
        "several": [_exception(each, depth + 1) for each in getattr(failure, "exceptions", ())],
    }
    return {key: value for key, value in found.items() if value}


def _callers() -> list[list[str]]:
    frame: FrameType | None = sys._getframe(1)
    callers = []
    while frame is not None and len(callers) < 12:
        module = str(frame.f_globals.get("__name__"))
        if module not in ("logging", __name__) and not module.startswith("hangup."):
            callers.append([module, frame.f_code.co_name])
        frame = frame.f_back
    return callers
