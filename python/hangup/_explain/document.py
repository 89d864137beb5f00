"""``python -m hangup._explain.document`` prints ``docs/errors.md``, from the catalogue."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator

from .catalogue import FAILURES
from .failure import Failure
from .show import helped

_HEAD = """\
# What the log says, and what to do about it

<!-- Made from the catalogue in `python/hangup/_explain/catalogue` by `make docs`. Change it there. -->

    hangup explain "OSError: [Errno 9] Bad file descriptor"   # a line; or a whole traceback: hangup explain < file
    hangup explain HUP001                                     # what is below, in the terminal
    hangup logs /var/log/gunicorn/error.log                   # a whole log, sorted

## How it is recognised

By the exception, its errno, and the modules and functions of its traceback; never by line numbers, and never by words
that anybody's exception may have. So give it the whole traceback: the last line by itself is only *possible*.
Prefixes of journald, syslog, Docker, Kubernetes and JSON loggers may stand before each line, and colours in it.

What only says that a client left is decided by the same table as in the [log filter](logging.md). EBADF never is: it
says that somebody on the server's side closed what was in use. An exception that only passes through a server's code
is yours, and so is the reset of your database.

| exit status | `explain` | `logs` |
| --- | --- | --- |
| 0 | a code was asked about; or all that was given is about clients that left | nothing, or only that |
| 1 | there is something to do; or it is not known | bugs, or known failures |
| 2 | the command line is wrong, or there is no such code or file | the same |

`-f json` gives all of it to programs.
"""

_LOGS = """\
## A whole log

`hangup logs FILE…` reads files, also compressed ones, and standard input; memory does not grow with the log.
Tracebacks and lines are counted by what they are, with the first and the last time, most urgent first:

1. **Real bugs**: what no failure of the catalogue explains, by the exception's type and the innermost frame of your
   code. What has no frame of yours, and errors without a traceback, are here as well: nothing is thrown away.
2. **Known failures** with something to do.
3. **Noise**: clients that left.

One core reads about 25 MB a second of nothing but tracebacks, and several times that of access logs.
`--examples` prints the whole first record of each. In a pipe, `tail -F error.log | hangup logs -` says at Ctrl-C what
it has seen.
The error log of nginx, and the 499, 502 and 504 of access logs, are families too.
"""


def document() -> str:
    """The whole page."""
    blocks = [_HEAD.rstrip(), _LOGS.rstrip(), "## The failures", "\n".join(_table())]
    for failure in FAILURES:
        blocks += _section(failure)
    return "\n\n".join(blocks) + "\n"


def _table() -> Iterator[str]:
    yield "| code | what the log says, or what is seen | who | hangup |"
    yield "| --- | --- | --- | --- |"
    for failure in FAILURES:
        cells = (
            f"[{failure.code}](#{failure.code.lower()})",
            failure.title,
            failure.blame.value,
            failure.help.value,
        )
        yield f"| {' | '.join(map(_cell, cells))} |"


def _section(failure: Failure) -> Iterator[str]:
    yield f'<a id="{failure.code.lower()}"></a>'
    yield f"### {failure.code} {_title(failure.title)}"
    yield _folded(failure.why)
    yield "\n".join(
        _folded(f"* **{name}**: {_ended(text)}", "  ")
        for name, text in (
            ("Who", failure.blame.value),
            ("Do", failure.do),
            (
                "Do not",
                failure.avoid[len("Do not ") :] if failure.avoid.startswith("Do not ") else failure.avoid,
            ),
            ("Versions", failure.versions),
            ("hangup", helped(failure)),
            ("Source", failure.source),
        )
    )
    if not failure.logged:
        yield "No server logs it."


def _title(text: str) -> str:
    return f"`{text}`" if "`" not in text else text


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _ended(text: str) -> str:
    return text if text.endswith((".", "!")) else f"{text}."


def _folded(paragraph: str, indent: str = "") -> str:
    return textwrap.fill(
        paragraph, 120, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    )


if __name__ == "__main__":
    import sys

    sys.stdout.write(document())
