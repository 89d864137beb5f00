"""Raises recorded exceptions again, through modules and functions of the recorded names."""

from __future__ import annotations

import functools
import json
import logging
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

Record = dict[str, Any]
RECORDS = Path(__file__).with_name("records.jsonl")


def corpus() -> list[Record]:
    return [json.loads(line) for line in RECORDS.read_text().splitlines()]


def name_of(record: Record) -> str:
    """For the name of a test."""
    raised = record.get("raised") or record.get("handled") or {"type": record["message"][:20]}
    return f"{record['stack']}: {record['scene']}: {record['logger']}: {raised['type']}"


def replay(record: Record, judge: Callable[[logging.LogRecord], Any]) -> Any:
    """What ``judge`` says of the record, called as logging would call it."""
    raised, handled = (record.get(which) for which in ("raised", "handled"))
    failure = exception(raised) if raised else None
    info = None if failure is None else (type(failure), failure, failure.__traceback__)
    level = getattr(logging, record["level"])
    again = logging.LogRecord(record["logger"], level, __file__, 1, record["message"], None, info)
    callers = list(reversed(record.get("logged_by", [])))
    if not handled:
        return through(callers, functools.partial(judge, again), None)
    try:
        raise exception(handled)
    except BaseException as error:
        # without the frame of this function, which was not among those recorded
        error.__traceback__ = error.__traceback__.tb_next if error.__traceback__ else None
        return through(callers, functools.partial(judge, again), None)


def through(frames: list[list[str]], last: Callable[[], Any], mine: Any) -> Any:
    """Calls ``last`` from the last of functions of these names, in modules of these names, that call each other."""
    call = last
    for module, function in reversed(frames):
        scope = {"__name__": module, "call": call}
        name = function if function.isidentifier() else "anonymous"
        code = compile(f"def {name}(self):\n    return call()\n", f"<{module}>", "exec")
        exec(code, scope)
        made: Any = scope[name]
        made.__code__ = made.__code__.replace(co_name=function)
        call = functools.partial(made, mine)
    return call()


def exception(recorded: Record) -> BaseException:
    """The exception with its traceback, its chain, and no frame that was not recorded."""
    failure = _instance(recorded)
    mine = SimpleNamespace(**recorded.get("self", {}))

    def throw() -> None:
        raise failure

    try:
        through(recorded.get("frames", []), throw, mine)
    except BaseException as error:
        error.__traceback__ = _only_recorded(error.__traceback__)
    failure.__cause__ = exception(recorded["cause"]) if "cause" in recorded else None
    failure.__context__ = exception(recorded["context"]) if "context" in recorded else None
    if "cause" in recorded and "context" not in recorded:
        failure.__suppress_context__ = True
    return failure


def _only_recorded(trace: Any) -> Any:
    kept = []
    while trace is not None:
        if trace.tb_frame.f_globals.get("__name__") != __name__:
            kept.append(trace)
        trace = trace.tb_next
    last = None
    for link in reversed(kept):
        link.tb_next = last
        last = link
    return last


def _instance(recorded: Record) -> BaseException:
    kind = _type(recorded["type"], tuple(recorded.get("bases", [])))
    if "several" in recorded:
        return kind(recorded.get("says", ""), [exception(each) for each in recorded["several"]])
    failure = kind.__new__(kind)
    if "errno" in recorded and issubclass(kind, OSError):
        failure = kind.__new__(kind, recorded["errno"], recorded.get("says", ""))
        OSError.__init__(failure, recorded["errno"], recorded.get("says", ""))
        if "filename" in recorded:
            failure.filename = recorded["filename"]  # type: ignore[attr-defined]
    elif issubclass(kind, KeyError):
        failure.args = (recorded.get("says", "").strip("'"),)
    else:
        failure.args = (recorded.get("says", ""),)
    return failure


def _type(name: str, bases: tuple[str, ...]) -> type[BaseException]:
    """The built-in class, or one of the same name with the same built-in bases."""
    module, _, short = name.rpartition(".")
    if module in ("builtins", "ssl", "socket", "hangup.exceptions"):
        found: type[BaseException] = getattr(__import__(module, fromlist=[short]), short)
        return found
    parents = []
    for base in bases:
        known = _type(base, ()) if base.startswith(("builtins.", "ssl.", "socket.")) else None
        if known is not None and not any(issubclass(other, known) for other in parents):
            parents.append(known)
    return type(
        short, tuple(parents) or (Exception,), {"__module__": module, "__str__": lambda self: self.args[-1]}
    )


__all__ = ["corpus", "exception", "name_of", "replay"]
