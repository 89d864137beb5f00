"""The command line, as from a shell."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

CODE = "import sys; from hangup._cli import main; sys.argv[0] = 'hangup'; sys.exit(main())"


def hangup(*arguments: Any, **options: Any) -> subprocess.CompletedProcess[str]:
    """Runs a command, not from a terminal."""
    line = [sys.executable, "-c", CODE, *map(str, arguments)]
    return subprocess.run(line, capture_output=True, text=True, timeout=100, check=False, **options)
