"""Modes of ``hangup bench``: what stages they have, and what their figures say."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Callable, NamedTuple, Optional

from . import Refused
from .limits import make_room
from .requirements import Requirement, Verdict, share, times, verdicts
from .run import run
from .target import HTTP, SOCKETIO, Target

_ECHO, _BROADCAST = "echo", "broadcast"
_CONNECTING, _PAYLOAD, _WINDOW = 64, 64, 8
_STRESS_BEGINS = 10


class Mode(NamedTuple):
    """What a mode does unless it is told otherwise.

    Attributes:
        help: in a few words.
        clients: how many at most.
        seconds: of each stage.
        messages: of each visit.
        interval: seconds between a client's messages.
    """

    help: str
    clients: int
    seconds: float = 0.0
    messages: int = 0
    interval: float = 0.0


MODES = {
    "sequential": Mode("clients one after the other, each with a few messages", 50, messages=5),
    "concurrent": Mode("clients all at the same time, each with a few messages", 10, messages=10),
    "ramp": Mode("more and more clients, which stay and send messages", 100, 3.0, interval=0.1),
    "stress": Mode("twice as many clients each time, until a requirement is not met", 640, 2.0, interval=0.1),
    "echo": Mode("clients that send the next message when the last one was answered", 100, 5.0),
    "fanout": Mode("one client whose messages the server sends to all", 100, 5.0),
    "connect": Mode("clients that connect, and stay, and say nothing", 100, 5.0),
}


class Wish(NamedTuple):
    """What is asked of a bench; None: as the mode has it.

    Attributes:
        mode: in ``MODES``.
        clients: at most.
        steps: of a ramp: how many clients in each stage.
        seconds: of each stage.
        messages: of each visit.
        interval: seconds between a client's messages.
        connecting: clients that connect at a time.
        payload: bytes of a message's text.
        window: broadcasts that are under way at a time.
        event: of Socket.IO; None: "echo", and "broadcast" in a fan-out.
        send: the message itself, with ``{text}`` and ``{id}`` in it.
        answer: what an answer contains.
        ack: whether the answer is an acknowledgement.
    """

    mode: str
    clients: Optional[int] = None
    steps: tuple[int, ...] = ()
    seconds: Optional[float] = None
    messages: Optional[int] = None
    interval: Optional[float] = None
    connecting: Optional[int] = None
    payload: Optional[int] = None
    window: Optional[int] = None
    event: Optional[str] = None
    send: Optional[str] = None
    answer: Optional[str] = None
    ack: bool = False


class Result(NamedTuple):
    """What a bench found.

    Attributes:
        stages: figures of each.
        total: figures of all of them.
        timeline: figures over time, and memory.
        verdicts: of the requirements.
        interrupted: whether it was ended before its time.
        breaks_at: of stress: how many clients were too many.
        recovered: of stress: whether the server serves again afterwards.
    """

    stages: list[dict[str, Any]]
    total: dict[str, Any]
    timeline: dict[str, Any]
    verdicts: list[Verdict]
    interrupted: bool
    breaks_at: Optional[int] = None
    recovered: Optional[bool] = None

    @property
    def passed(self) -> bool:
        """Nobody interrupted it, and all requirements are met."""
        return not self.interrupted and self.recovered is not False and all(v.met for v in self.verdicts)


Watch = Callable[[dict[str, Any], dict[str, Any]], None]


def bench(target: Target, wish: Wish, required: list[Requirement], watch: Optional[Watch] = None) -> Result:
    """Runs it.

    Args:
        target: the server.
        wish: what is asked for.
        required: what has to be.
        watch: given the stages' plan and what has been counted so far, again and again.

    Raises:
        Refused: it cannot be run.
    """
    mode = MODES[wish.mode]
    _require_used(wish)
    if wish.mode == "fanout" and target.protocol == HTTP:
        raise Refused("HTTP has no broadcasts: fanout is for ws:// URLs and Socket.IO")
    if wish.mode == "connect" and target.protocol == HTTP:
        raise Refused(
            "who connects for HTTP and says nothing has seen nothing of the server: --mode sequential"
        )
    clients = mode.clients if wish.clients is None else wish.clients
    steps = wish.steps or tuple(sorted({max(1, clients // 10), max(1, clients // 2), clients}))
    most = max(steps) if wish.mode == "ramp" else clients
    polls = target.protocol == SOCKETIO and target.plan["transport"] == "polling"
    make_room(most, 2 if polls else 1)
    spoken = _message(target, wish)
    if wish.mode == "stress":
        return _stress(target, wish, required, watch, clients, spoken)
    stages = list(_stages(wish, mode, clients, steps))
    outcome = run(_plan(target, spoken, stages), _watching(watch, stages))
    report = outcome.report
    judged = verdicts(required, found(report["total"]))
    return Result(report["stages"], report["total"], report["timeline"], judged, outcome.interrupted)


#: Options that only some modes have.
_USED_BY = {
    "steps": ("ramp",),
    "messages": ("sequential", "concurrent"),
    "seconds": ("ramp", "stress", "echo", "fanout", "connect"),
    "interval": ("ramp", "stress", "echo"),
    "connecting": ("ramp", "stress", "echo", "fanout", "connect"),
    "payload": ("sequential", "concurrent", "ramp", "stress", "echo", "fanout"),
    "window": ("fanout",),
}


def _require_used(wish: Wish) -> None:
    for name, modes in _USED_BY.items():
        if getattr(wish, name) not in (None, ()) and wish.mode not in modes:
            raise Refused(f"--{name} has no meaning in --mode {wish.mode}: it is for {', '.join(modes)}")
    if wish.steps and wish.clients is not None:
        raise Refused("--steps says how many clients there are: not with --clients")


def _watching(
    watch: Optional[Watch], stages: list[dict[str, Any]]
) -> Optional[Callable[[dict[str, Any]], None]]:
    return None if watch is None else lambda report: watch({"stages": stages}, report)


def _plan(target: Target, spoken: dict[str, Any], stages: list[dict[str, Any]]) -> dict[str, Any]:
    return {"target": target.plan, "bench": {**spoken, "stages": stages}}


def _stages(wish: Wish, mode: Mode, clients: int, steps: tuple[int, ...]) -> Iterator[dict[str, Any]]:
    seconds = mode.seconds if wish.seconds is None else wish.seconds
    messages = mode.messages if wish.messages is None else wish.messages
    interval = mode.interval if wish.interval is None else wish.interval
    connecting = wish.connecting or _CONNECTING
    if wish.mode in ("sequential", "concurrent"):
        at_once = 1 if wish.mode == "sequential" else clients
        yield _stage(wish.mode, "visits", clients, at_once, messages=messages)
        return
    if wish.mode == "ramp":
        for number, step in enumerate(steps, 1):
            yield _stage(f"step {number}", "crowd", step, connecting, seconds=seconds, interval=interval)
        return
    what = {"echo": "crowd", "fanout": "fanout", "connect": "hold"}[wish.mode]
    yield _stage(
        wish.mode,
        what,
        clients,
        connecting,
        seconds=seconds,
        interval=interval,
        window=_WINDOW if wish.window is None else wish.window,
    )


def _stage(name: str, what: str, clients: int, at_once: int, **more: float) -> dict[str, Any]:
    return {"name": name, "what": what, "clients": clients, "at_once": at_once, **more}


def _stress(
    target: Target,
    wish: Wish,
    required: list[Requirement],
    watch: Optional[Watch],
    most: int,
    spoken: dict[str, Any],
) -> Result:
    """Twice as many each time; then one, to see whether there is a server left."""
    seconds = MODES["stress"].seconds if wish.seconds is None else wish.seconds
    interval = MODES["stress"].interval if wish.interval is None else wish.interval
    connecting = wish.connecting or _CONNECTING
    clients = min(_STRESS_BEGINS, most)
    stages: list[dict[str, Any]] = []
    total: dict[str, Any] = {}
    timeline: dict[str, Any] = {"slots": []}
    judged: list[Verdict] = []
    breaks_at, interrupted = None, False
    while breaks_at is None and not interrupted:
        name = f"step {len(stages) + 1}"
        planned = [_stage(name, "crowd", clients, connecting, seconds=seconds, interval=interval)]
        outcome = run(_plan(target, spoken, planned), _watching(watch, planned))
        interrupted, total = outcome.interrupted, outcome.report["total"]
        stages += outcome.report["stages"]
        timeline = _joined(timeline, outcome.report["timeline"])
        judged = verdicts(required, found(total))
        if not all(verdict.met for verdict in judged):
            breaks_at = clients
        elif clients == most:
            break
        clients = min(2 * clients, most)
    recovered = None
    if breaks_at is not None and not interrupted:
        planned = [_stage("afterwards", "visits", 1, 1, messages=1)]
        outcome = run(_plan(target, spoken, planned), _watching(watch, planned))
        stages += outcome.report["stages"]
        recovered, interrupted = outcome.report["total"]["succeeded"] == 1, outcome.interrupted
    return Result(stages, total, timeline, judged, interrupted, breaks_at, recovered)


def _joined(timeline: dict[str, Any], more: dict[str, Any]) -> dict[str, Any]:
    """Slots one after the other; memory of the one with the most clients, which is the last."""
    begins = timeline["slots"][-1]["at"] if timeline["slots"] else 0.0
    slots = timeline["slots"] + [{**slot, "at": slot["at"] + begins} for slot in more["slots"]]
    return {**more, "slots": slots}


def _message(target: Target, wish: Wish) -> dict[str, Any]:
    """What is said, and what is waited for."""
    event = json.dumps(wish.event or (_BROADCAST if wish.mode == "fanout" else _ECHO), ensure_ascii=True)
    if wish.ack and (target.protocol != SOCKETIO or wish.mode == "fanout"):
        raise Refused("--ack is Socket.IO's, and for one client")
    send, answer = "{text}", "{text}"
    if target.protocol == SOCKETIO:
        namespace = target.plan["namespace"]
        place = "" if namespace == "/" else f"{namespace},"
        send = f'42{place}{"{id}" if wish.ack else ""}[{event},"{{text}}"]'
        answer = f"43{place}{{id}}[" if wish.ack else "{text}"
    if wish.send is not None:
        send = wish.send
        if target.protocol == SOCKETIO and not send.startswith("4"):
            raise Refused('--send: an event of Socket.IO is like 42["echo","{text}"]')
        if "{text}" not in send and wish.answer is None and not wish.ack:
            answer = ""  # whatever comes next
        if "{text}" not in send and wish.mode == "fanout":
            raise Refused("--send: a broadcast needs {text}, by which it is recognised")
    if wish.answer is not None:
        answer = wish.answer
    return {"send": send, "answer": answer, "payload": _PAYLOAD if wish.payload is None else wish.payload}


def found(figures: dict[str, Any]) -> dict[str, Optional[float]]:
    """Figures of a stage, or of all, by the names of requirements."""
    ended = figures["succeeded"] + figures["failed"]
    done = share(figures["succeeded"], figures["clients"] if figures["over"] else ended)
    arrived = share(figures["answered"], figures["expected"])
    success = done if arrived is None or done is None else min(done, arrived)
    happened = figures["connected"] + figures["answered"] + figures["failed"]
    return {
        "success": success,
        "errors": share(figures["failed"], happened),
        "rate": figures["answered"] / figures["seconds"] if figures["seconds"] else None,
        **times(figures["latency_us"]),
        **times(figures["connect_us"], "connect."),
    }
