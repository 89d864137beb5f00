"""Text that servers log: samples, and the corpus of live records printed as ``traceback`` prints."""

from __future__ import annotations

from pathlib import Path
from typing import Any

SAMPLES = sorted((Path(__file__).parent / "samples").glob("*.txt"))
_STANDARD = (
    *("threading", "socket", "selectors", "ssl", "http", "socketserver", "wsgiref", "asyncio", "urllib"),
    *("concurrent", "contextlib", "_socket", "queue", "runpy", "codecs"),
)
_OWN = ("wsgi_app", "django_app", "asgi_app", "sio_app", "scenes", "recorder")


def code_of(sample: Path) -> str:
    """The failure that a sample is of, by its name."""
    return sample.name.partition(".")[0]


def printed(raised: dict[str, Any]) -> list[str]:
    """A recorded exception, with what it was chained to."""
    lines: list[str] = []
    if "cause" in raised:
        lines += [
            *printed(raised["cause"]),
            "",
            "The above exception was the direct cause of the following exception:",
            "",
        ]
    elif "context" in raised:
        lines += [
            *printed(raised["context"]),
            "",
            "During handling of the above exception, another exception occurred:",
            "",
        ]
    lines.append("Traceback (most recent call last):")
    lines += [
        f'  File "{_path(module)}", line 7, in {function}' for module, function in raised.get("frames", [])
    ]
    kind, says = raised["type"].replace("builtins.", ""), raised.get("says", "")
    return [*lines, f"{kind}: {says}" if says else kind]


def _path(module: str) -> str:
    if module in _OWN:
        return f"/srv/app/{module}.py"
    file = module.replace(".", "/") + ".py"
    if module.partition(".")[0] in _STANDARD:
        return f"/usr/lib/python3.11/{file}"
    return f"/srv/venv/lib/python3.11/site-packages/{file}"
