"""``python -m benches``: see the package's documentation for what is measured and how."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator

from . import (
    _peers,
    bench_census,
    bench_django,
    bench_emit,
    bench_fanout,
    bench_http,
    bench_idle,
    bench_import,
    bench_logs,
    bench_mutex,
    bench_socket,
    bench_websocket,
)
from ._load import client_name
from ._machine import cores, facts
from ._report import say, table, write
from ._rows import Row

NAMES = (
    *bench_http.CASES,
    *bench_socket.CASES,
    *bench_import.CASES,
    *bench_mutex.CASES,
    *bench_census.CASES,
    *bench_websocket.CASES,
    *bench_fanout.CASES,
    *bench_idle.CASES,
    *bench_django.CASES,
    *bench_emit.CASES,
    *bench_logs.CASES,
)


def main() -> int:
    """Measures, prints the table, writes the file. 0 whenever it has measured."""
    chosen = _arguments()
    wanted = [name for name in NAMES if not chosen.only or any(part in name for part in chosen.only)]
    if not wanted:
        say(f"nothing is called {', '.join(chosen.only)}; there are: {', '.join(NAMES)}")
        return 2
    home, away = cores()
    say(f"server on core {home}, load client on core {away}: {client_name()}; load {os.getloadavg()[0]:.1f}")
    if home == away:
        say(
            "only one core may be used: client and server share it, and the ratios of requests/s lean towards 1"
        )
    before, rows = facts(), []
    before["versions"].update(_peers.versions())
    for name in wanted:
        say(f"  measuring {name} ...")
        for row in _measure(name, chosen):
            rows.append(row)
            if row.figure is not None:
                say(f"    {row.name}: {row.figure:.3f} {row.figure_unit} {row.verdict}")
    say()
    table(rows)
    after = os.getloadavg()
    say(f"  load before and after: {before['load'][0]:.1f}, {after[0]:.1f}; our own share is about 1 to 2")
    if any("unclear" in row.verdict for row in rows):
        say("  unclear: the bar lies between the quartiles; --control shows how far stock strays from itself")
    path = write(rows, {**before, "load_after": after, "client": client_name(), "arguments": sys.argv[1:]})
    say(f"  every run: {os.path.relpath(path)}")
    return 0


#: Those that can be measured against themselves.
_CONTROLLED = (
    bench_socket,
    bench_websocket,
    bench_fanout,
    bench_idle,
    bench_django,
    bench_logs,
    bench_census,
    bench_import,
)


def _measure(name: str, chosen: argparse.Namespace) -> Iterator[Row]:
    if name in bench_http.CASES:
        for version in chosen.gunicorn or [None]:
            requests = bench_http.QUICK if chosen.quick else bench_http.THOROUGH
            yield from bench_http.measure(name, requests, version, chosen.control)
    elif name in bench_emit.CASES:
        yield from bench_emit.measure(name, bench_emit.QUICK if chosen.quick else bench_emit.THOROUGH)
    elif name in bench_mutex.CASES:
        yield from bench_mutex.measure(name, chosen.quick)
    else:
        module = next(module for module in _CONTROLLED if name in module.CASES)
        plan = module.QUICK if chosen.quick else module.THOROUGH
        yield from module.measure(name, plan, chosen.control)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benches", description="Speed, stock and with hangup.")
    parser.add_argument(
        "--only", action="append", metavar="NAME", help=f"part of a name, repeatable: {', '.join(NAMES)}"
    )
    parser.add_argument("--quick", action="store_true", help="fewer and shorter runs")
    parser.add_argument(
        "--gunicorn",
        action="append",
        metavar="VERSION",
        help="from .gunicorn/VERSION, repeatable; not the installed one",
    )
    parser.add_argument("--control", action="store_true", help="stock against stock: how far ratios stray")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
