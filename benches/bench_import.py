"""How much longer an interpreter takes that also imports hangup."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from functools import partial
from time import perf_counter

from ._machine import cores
from ._rows import Bar, Row, paired

CASES = {
    "import": ("import hangup", Bar(20.0, unit="ms")),
    "import-SafeSocket": ("from hangup import SafeSocket", None),
}

THOROUGH = 41  # pairs of interpreters
QUICK = 11

_NOTHING = "pass"


def measure(name: str, pairs: int, control: bool = False) -> Iterator[Row]:
    """The row of a case. Its figure is a difference, in milliseconds.

    Args:
        name: in ``CASES``.
        pairs: of interpreters.
        control: compare nothing with nothing.
    """
    statement, bar = CASES[name]
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {cores()[0]})  # what is started inherits it
    try:
        with tempfile.TemporaryDirectory() as elsewhere:  # the working directory is on the path of ``-c``
            without, within = (
                partial(_run, code, elsewhere) for code in (_NOTHING, _NOTHING if control else statement)
            )
            without(), within()  # writes the byte-code
            runs = tuple(paired(without, within, pairs))
    finally:
        os.sched_setaffinity(0, before)
    differences = tuple(ours - theirs for theirs, ours in runs)
    stock, ours = (statistics.median(side) for side in zip(*runs))
    note = "the difference to an interpreter that does nothing is judged"
    if control:
        note += "; here both do nothing"
    yield Row(statement, "ms", stock, ours, differences, "ms", bar, note, runs)


def _run(code: str, directory: str) -> float:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    begin = perf_counter()
    subprocess.run([sys.executable, "-c", code], cwd=directory, env=environment, check=True)
    return (perf_counter() - begin) * 1e3
