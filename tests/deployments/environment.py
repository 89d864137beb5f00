"""The packages of an example, at its pins, beside those of the virtual environment.

Promised: what a process of the example imports is what its ``requirements.txt`` pins; hangup is the one of this source
tree. Not promised: that a package which is not pinned there is absent.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "examples"
#: What would make a service differ from the one beside it.
_NOT_INHERITED = ("GUNICORN_CMD_ARGS", "HANGUP", "WEB_CONCURRENCY", "PORT", "PYTHONPATH", "NOTIFY_SOCKET")


class Missing(LookupError):
    """Something that a deployment needs is not on this machine; the message names it."""


def packages_of(example: str) -> Path:
    """The folder that has the packages of ``example``; ``make`` installs them when they are not there.

    Raises:
        Missing: they cannot be installed.
    """
    ready = ROOT / ".examples" / example / "ready"
    made = subprocess.run(
        ["make", "--no-print-directory", f".examples/{example}/ready"],
        cwd=ROOT, capture_output=True, text=True, timeout=600,
    )  # fmt: skip
    if not ready.exists():
        raise Missing(
            f"the packages of {example} are not there: {(made.stdout + made.stderr).strip()[-500:]}"
        )
    return ready.parent


def environment_of(example: str, home: Path) -> dict[str, str]:
    """The environment of the processes of ``example``: its packages first, its own home."""
    packages = packages_of(example)
    kept = {name: value for name, value in os.environ.items() if name not in _NOT_INHERITED}
    programs = [str(packages / "bin"), str(Path(sys.executable).parent), kept.get("PATH", "/usr/bin:/bin")]
    return {
        **kept,
        "PATH": os.pathsep.join(programs),
        "PYTHONPATH": str(packages),
        "PYTHONUNBUFFERED": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
        "HOME": str(home),
    }
