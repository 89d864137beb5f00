"""``python -m hangup._logs.document`` prints ``docs/logging.md``, from the table."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

from .endings import ENDINGS
from .table import TABLE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .rows import Source

_HEAD = """\
# Log lines about clients that left

<!-- Made from the table in `python/hangup/_logs/table.py` by `make docs`. Change it there. -->

`hangup.install()`, and `hangup.gunicorn` with it, attaches one `hangup.DisconnectFilter` to the loggers below, and
listens to what never reaches logging. What only says that a client left becomes DEBUG and is counted; everything else
stays as it is.

## What you see instead

    hung up: 214 peers left (198 reset, 16 pipe), 0 ours

At INFO on the logger `hangup`, a minute after the first such line and at the end of the process. *ours* are ownership
violations ([model.md](model.md)) since the last one: 0 is what you want. In a gunicorn worker it stands in gunicorn's
log. Elsewhere it goes where you send the logger `hangup`: give it a handler, or the root logger, and the level INFO.
`hangup.stats()` has the totals: `log_demoted`, `log_dropped`, `log_counted`.

## How to switch it

| | |
| --- | --- |
| `HANGUP=observe` | counts, changes nothing; what is hooked prints as ever |
| `HANGUP=off` | touches nothing |
| `HANGUP_LOG_SUMMARY=300` | seconds to the summary; `0`: none |
| `hangup.logfilter.install("drop")` | after `hangup.install()`: gone even at DEBUG. Or `"demote"`, `"count"` |
| `hangup.logfilter.install(summary_every=300)` | as the variable |
| `hangup.DisconnectFilter(action="demote")` | a `logging.Filter` for handlers and loggers of your own |
| `logging.getLogger("gunicorn.error").setLevel("DEBUG")` | shows what was demoted |
| `hangup.uninstall()` | takes everything back |

## How a line is judged

1. **By its exception.** `PeerGone`, `ClosedHere` and `Broken` of hangup; an `OSError` whose errno says that a
   connection ended, or the end of a TLS stream, if every frame of its traceback, and of what it was chained to, is the
   server's own; an exception [that only a client's connection raises](#exceptions-that-mean-the-same-everywhere). If
   the line has the traceback only as text, the exception that is being handled is judged.
2. **By its text**, only where there never is an exception, and only if the server's own code logs it.

One frame of your application in an `OSError`, and it passes: a database, a file, an upstream server that failed is
yours, with the same errno. `EBADF`, `ENOTSOCK` and `OwnershipViolation` always pass, also deep in the chain: somebody
on our side closed what was in use. What a client does *wrong* passes as well: malformed requests are what attacks look
like.
"""

_TAIL = """
## What the native core says

`hangup.websocket`, `hangup.fd`, `hangup.acceptor`, `hangup.linger` and `hangup.engine`, at DEBUG and INFO, from native
threads too:

    taken over connection=7 fd=12
    over connection=7 code=1000 reason= cause=left received=33 sent=147

A record has the fields as a dict of str, `record.fields`, and the number of the WebSocket or None,
`record.connection`. Ask for it as for any other: `logging.getLogger("hangup.websocket").setLevel("DEBUG")`. A level
that nobody asks for costs nothing. No native thread waits for logging; lines that come too fast for it are counted.

## What is not heard

* What a server hides: gunicorn and werkzeug turn an `ECONNRESET` or `EPIPE` into a DEBUG line or nothing, your
  database's too.
* Flask's logger (`app.logger`): neither Flask nor Flask-SocketIO logs anything about clients there.
* `sys.unraisablehook`: no server was found to lose a client's error there.
* `socket shutdown error: [Errno 9]` of eventlet's WebSocket is an EBADF, and passes. With hangup the WebSockets of
  python-socketio are not eventlet's.
"""


def document() -> str:
    """The whole page."""
    blocks = [_HEAD.rstrip(), "## The loggers and channels"]
    for name, row in TABLE.items():
        blocks += [f"### `{name}`", *_about(row)]
    blocks += [
        "## Exceptions that mean the same everywhere",
        "Counted as `left`.",
        "\n".join(_endings()),
        _TAIL.strip(),
    ]
    return "\n\n".join(blocks) + "\n"


def _about(row: Source) -> Iterator[str]:
    means = _folded(f"{row.means[0].upper()}{row.means[1:]}.")
    if not row.looks_like:
        yield means
        return
    if row.channel != "logger":
        yield _folded(f"No logger of a server's: {row.channel}. What is not about a client goes on there.")
    yield f"    {row.looks_like}"
    yield means
    bullets = [f"The server is: {_names(row.server)}."]
    if row.printed:
        begins = _names(tuple(printed.begins.strip() for printed in row.printed))
        bullets.append(f"Judged by the exception that is being handled: messages that begin with {begins}.")
    bullets += [f"`{text.begins.strip()} …` → `{text.cause}`: {text.why}." for text in row.texts]
    yield "\n".join(_folded(f"* {bullet}", "  ") for bullet in bullets)


def _endings() -> Iterator[str]:
    yield "| exception | raised by | says that |"
    yield "| --- | --- | --- |"
    for ending in ENDINGS:
        name = ending.type[len("builtins.") :] if ending.type.startswith("builtins.") else ending.type
        says = f" {ending.says}" if ending.says else ""
        yield f"| `{name}{says}` | {_names(ending.raised_by)} | {ending.why} |"


def _names(modules: tuple[str, ...]) -> str:
    return ", ".join(f"`{module}`" for module in modules)


def _folded(paragraph: str, indent: str = "") -> str:
    return textwrap.fill(
        paragraph, 120, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    )


if __name__ == "__main__":
    import sys

    sys.stdout.write(document())
