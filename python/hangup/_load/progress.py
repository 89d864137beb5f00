"""How far a run is: a bar on standard error, if that is a terminal."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Callable, Optional

from .storm import Wish

if TYPE_CHECKING:
    from rich.progress import Progress


@contextlib.contextmanager
def progress() -> Iterator[Optional[Callable[[dict[str, Any], dict[str, Any]], None]]]:
    """Of a bench: what :func:`~hangup._load.bench.bench` calls; None if nobody would see it."""
    with _bar() as bar:
        if bar is None:
            yield None
            return
        task = bar.add_task("", total=1.0, counts="")

        def watch(plan: dict[str, Any], report: dict[str, Any]) -> None:
            done, name = _stage_done(plan["stages"], report["stages"])
            total = report["total"]
            counts = f"{report['open']} open, {total['answered']} answered, {total['failed']} failed"
            bar.update(task, completed=done, description=name, counts=counts)

        yield watch


@contextlib.contextmanager
def storm_progress(wish: Wish) -> Iterator[Optional[Callable[[dict[str, Any]], None]]]:
    """Of a storm: what :func:`~hangup._load.storm.storm` calls; None if nobody would see it."""
    watched = wish.before + wish.after if wish.probe is not None else 0.0
    with _bar() as bar:
        if bar is None:
            yield None
            return
        task = bar.add_task("storm", total=wish.seconds + watched, counts="")

        def watch(report: dict[str, Any]) -> None:
            kinds = report["kinds"].values()
            attempted, opened = sum(k["attempted"] for k in kinds), sum(k["open"] for k in kinds)
            probe = report["probe"].get("during", {"visits": 0, "succeeded": 0})
            healthy = f", {probe['succeeded']} of {probe['visits']} healthy" if probe["visits"] else ""
            counts = f"{attempted} clients, {opened} open{healthy}"
            bar.update(task, completed=report["seconds"], counts=counts)

        yield watch


def _stage_done(planned: list[dict[str, Any]], reported: list[dict[str, Any]]) -> tuple[float, str]:
    """The share of all stages that is over, and the name of the one that is not."""
    if not reported:
        return 0.0, ""
    plan, now = planned[min(len(reported), len(planned)) - 1], reported[-1]
    ended = now["succeeded"] + now["failed"]
    is_visits = plan["what"] == "visits"
    here = ended / plan["clients"] if is_visits else now["seconds"] / max(0.1, plan["seconds"])
    return (len(reported) - 1 + min(1.0, here)) / len(planned), now["name"]


@contextlib.contextmanager
def _bar() -> Iterator[Optional[Progress]]:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    console = Console(stderr=True)
    if not console.is_terminal:
        yield None
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[counts]}"),
    )
    with Progress(*columns, console=console, transient=True) as shown:
        yield shown
