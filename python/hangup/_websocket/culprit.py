"""Whose error it is that comes out of an emit: one client's, a room's that has just emptied, or the caller's."""

from __future__ import annotations

import importlib
import queue


def possible() -> tuple[type[BaseException], ...]:
    """What python-socketio and engineio raise about a client. Others may raise the same: ask :func:`origin`."""
    engineio_error = importlib.import_module("engineio.exceptions").EngineIOError
    return (OSError, KeyError, queue.Empty, queue.Full, engineio_error)


def origin(error: BaseException) -> str:
    """Who raised: "transport" (one client's engine.io socket), "room" (it just emptied), "other"."""
    trace = error.__traceback__
    module = function = ""
    while trace is not None:
        module = trace.tb_frame.f_globals.get("__name__", "")
        function = trace.tb_frame.f_code.co_name
        # send_packet and send; its packet and json modules serialise
        if module in {"engineio.server", "engineio.async_server"}:
            return "transport"
        trace = trace.tb_next
    if isinstance(error, KeyError) and (module, function) == ("socketio.base_manager", "get_participants"):
        return "room"
    return "other"


def fate(error: BaseException) -> str:
    """What became of the event for the client whose transport raised."""
    return "dropped" if isinstance(error, queue.Full) else "gone"
