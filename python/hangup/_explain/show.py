"""What was found, for people.

Promised: nothing of a log reaches the terminal unchanged: control characters are replaced, markup is escaped.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from typing import Any

from .failure import Failure, Help
from .families import Families, Family, Judged, Kind
from .prefixes import plain
from .reading import Log
from .tracebacks import MARK, Frame

_TITLES = {
    Kind.BUG: ("bold red", "REAL BUGS: no client's doing"),
    Kind.TROUBLE: ("bold yellow", "KNOWN FAILURES: something to do, `hangup explain CODE`"),
    Kind.NOISE: ("dim", "NOISE: clients that left"),
}
_WIDTH = 110


def failure(known: Failure) -> Iterator[str]:
    """All about one entry of the catalogue."""
    yield f"[bold]{known.code}[/]  {safe(known.title)}"
    yield from rows(
        who=known.blame.value,
        why=known.why,
        do=known.do,
        **{"not": known.avoid},
        versions=known.versions,
        hangup=helped(known),
        source=known.source,
    )


def helped(known: Failure) -> str:
    """What hangup does about it, as a sentence."""
    if known.help is Help.NOTHING and known.helped:
        return f"does nothing about it: {known.helped}"
    said = "does nothing about it" if known.help is Help.NOTHING else known.help.value
    return f"{said}: {known.helped}" if known.helped else said


def judged(found: Judged, count: int) -> Iterator[str]:
    """One record that was asked about."""
    verdict = found.verdict
    times = f"  ({count} times)" if count > 1 else ""
    if verdict.failure is None:
        owner = "YOUR CODE" if verdict.own else "NOT RECOGNISED"
        yield f"[bold red]{owner}[/]  {safe(found.says, 200)}{times}"
        yield from rows(**_unknown(found))
        return
    yield from failure(verdict.failure)
    yield from rows(this=_this(found), sure=_sure(found), yours=_place(verdict.own) if verdict.own else "")


def logs(families: Families, log: Log, examples: bool) -> Iterator[str]:
    """Everything of some logs."""
    found = families.sorted()
    events = sum(family.count for family in found)
    yield f"{log.lines:,} lines, {log.size / 1e6:,.1f} MB · {events:,} events in {len(found)} families"
    for damage in log.damages:
        yield f"[yellow]not all was read:[/] {safe(damage, 200)}"
    for kind in Kind:
        chosen = families.sorted(kind)
        if chosen:
            style, title = _TITLES[kind]
            yield ""
            yield f"[{style}]{title}[/]"
        for family in chosen:
            yield from _family(family, log.lines, examples)


def _family(family: Family, lines: int, examples: bool) -> Iterator[str]:
    share = f"{100 * family.lines / lines:5.1f} %" if lines else ""
    known = family.first.verdict.failure
    if known is not None:
        sure = family.first.verdict.confidence.value
        doubt = "" if sure != "possible" else " (possible: no traceback)"
        yield f"{family.count:>9,}  {share}  {known.code}  {safe(known.title, _WIDTH)}{doubt}"
    else:
        owner = "YOUR CODE " if family.first.verdict.own else ""
        place = f"{_place(family.place)}  " if family.place else ""
        yield f"{family.count:>9,}  {share}  [bold]{owner}[/]{safe(place)}{safe(family.first.says, _WIDTH)}"
    if family.since and family.until:
        yield f"{'':20}[dim]{_time(family.since)} … {_time(family.until)}[/]"
    shown = family.example.split("\n")
    if not examples:
        shown = [family.first.says if known is not None or MARK in shown[0] else shown[0]]
    for text in shown:
        yield f"{'':20}[dim]{safe(text, 200 if examples else _WIDTH)}[/]"


def _this(found: Judged) -> str:
    verdict = found.verdict
    if verdict.harmless:
        return "nothing has to be done"
    if verdict.failure and verdict.blame is None:
        return "either the client left, or the application sent after its own close: the text does not tell"
    return ""


def _sure(found: Judged) -> str:
    verdict = found.verdict
    said = verdict.confidence.value
    if verdict.confidence.value == "possible":
        said += (
            ": there is no traceback. With one, `hangup explain -` can say more, and whether it is your code"
        )
    if verdict.others:
        said += f"; or {', '.join(verdict.others)}"
    return said


def _unknown(found: Judged) -> dict[str, str]:
    verdict = found.verdict
    raised = verdict.raised
    known = {
        "this": "none of the failures in the catalogue, and not a client that left",
        "yours": _place(verdict.own) if verdict.own else "",
        "line": verdict.own.source if verdict.own else "",
        "raised": "",
    }
    if raised and raised.frames and raised.frames[-1].module:
        last = raised.frames[-1]
        known["raised"] = f"in {last.module}, {last.function}()"
        if raised.errno is not None and verdict.own:
            known["raised"] += ": a connection or a file of your application's, not a client's"
    return known


def _place(frame: Frame | None) -> str:
    if frame is None:
        return ""
    parts = frame.path.replace("\\", "/").split("/")
    path = frame.path if len(frame.path) <= 48 else "…/" + "/".join(parts[-3:])
    return f"{path}:{frame.line} in {frame.function}" if frame.function else f"{path}:{frame.line}"


def rows(**texts: str) -> Iterator[str]:
    """A name and a text each; what is empty is left out."""
    for name, text in texts.items():
        if text:
            folded = textwrap.wrap(plain(text), _WIDTH - 12) or [""]
            yield f"  [dim]{name:<9}[/] {_escaped(folded[0])}"
            yield from (f"{'':12}{_escaped(line)}" for line in folded[1:])


def _time(when: Any) -> str:
    return str(when.strftime("%Y-%m-%d %H:%M:%S"))


def safe(text: str, at_most: int | None = None) -> str:
    """Foreign text: no control characters, no markup, cut to ``at_most`` characters."""
    return _escaped(plain(text, at_most))


def _escaped(text: str) -> str:
    from rich.markup import escape

    return escape(text)
