"""``python -m hangup._doctor.document`` prints ``docs/doctor.md``, from the rules."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator

from .registry import SERIES, Rule, rules

_HEAD = """\
# hangup doctor

<!-- Made from the rules in `python/hangup/_doctor/rules/` by `make docs`. Change them there. -->

Reads how a service is deployed, and says what is wrong with it: gunicorn's configuration and command lines, Socket.IO's
options, Django's settings, nginx, systemd, versions, the limits of the machine. Nothing of the application is run or
imported. It takes well under a second.

    hangup doctor                     # this folder, and what of this machine's nginx and systemd is about it
    hangup doctor deploy/ src/        # these folders
    hangup doctor --pid 4711          # a running gunicorn: its command line, environment and limits
    hangup doctor --unit app.service --nginx /etc/nginx/nginx.conf
    hangup doctor --command 'gunicorn -k gevent -w 4 app:app'
    flask hangup doctor; manage.py hangup doctor; manage.py check

Exit status: 0, nothing found; 1, something was; 2, the command line is wrong.

| | |
| --- | --- |
| `--list` | all rules, a line each |
| `--explain HUP101` | one rule: what users see, what to do, who says so |
| `--fix --diff` | what would be changed, as a diff |
| `--fix` | changes it: single lines, where that is safe; all other bytes stay |
| `--select HUP4,HUP101`, `--ignore HUP410` | by code, by its beginning, or by name |
| `--clients 500` | how many clients are expected at once; 100 |
| `-f json` | one document: findings with file, line and value |

## What it reads

| | |
| --- | --- |
| gunicorn | `gunicorn.conf.py`, and the files that command lines name: literals, arithmetic, `os.environ.get` |
| hangup | `from hangup.gunicorn import *`, `install(globals())`, `-c python:hangup.gunicorn`, `hangup.install()` |
| command lines | `ExecStart=`, Procfile, Dockerfile, compose files, shell scripts, `--command`, `--pid` |
| environment | of those: `GUNICORN_CMD_ARGS`, `WEB_CONCURRENCY`, `HANGUP`. It overrules the file, as in gunicorn |
| Socket.IO | `SocketIO(…)`, `init_app(…)`, `socketio.Server(…)`; socket.io-client in pages |
| the application | routes of flask-sock and Channels, patches of eventlet and gevent, event streams |
| Django | the module that `manage.py`, `asgi.py` or `wsgi.py` names; inside Django the settings themselves |
| nginx | files that proxy, and what they include; what a location inherits |
| systemd | units with their drop-ins |
| versions | pins of requirements, `pyproject.toml`, `uv.lock` and `poetry.lock`; else what is installed beside hangup |
| the machine | `RLIMIT_NOFILE` of this shell or of `--pid`, `net.core.somaxconn` |

What is computed when the application starts is not guessed: it is said to be unknown, and no rule judges it. Files
whose names say that they are for development (`docker-compose.override.yml`, `Dockerfile.dev`) and tests are left out.

What is looked at together is taken for one deployment: of a repository with several, give one folder at a time.

Where hangup is on, what it mends is not reported; each rule says so. `HANGUP=off hangup doctor` says what would be
found without it.

## In Django

`manage.py check` asks the rules as well, about its own settings and the deployment files of `BASE_DIR`, or else of the
folder it runs in; not about this machine's nginx and systemd. Their ids are `hangup.HUPnnn`, or what they were before
there were rules, `hangup.E001` for one; `SILENCED_SYSTEM_CHECKS` takes both kinds. With `--deploy` the sources are read
too.
"""


def document() -> str:
    """The whole page."""
    blocks = [_HEAD.rstrip(), "## The rules", "\n".join(_table())]
    for digit, about in SERIES.items():
        blocks.append(f"## {about[0].upper()}{about[1:]}")
        for rule in rules().values():
            if rule.code[3] == digit:
                blocks += [f"### {rule.code} {rule.name}", *_about(rule)]
    return "\n\n".join(blocks) + "\n"


def _table() -> Iterator[str]:
    yield "| code | | severity | `--fix` |"
    yield "| --- | --- | --- | --- |"
    for rule in rules().values():
        anchor = f"{rule.code} {rule.name}".lower().replace(" ", "-").replace(".", "")
        yield f"| [{rule.code}](#{anchor}) | {rule.name} | {rule.severity} | {'yes' if rule.is_mended else ''} |"


def _about(rule: Rule) -> Iterator[str]:
    yield _folded(rule.wrong)
    bullets = [("Seen", rule.seen), ("Do", rule.mend), ("With hangup", rule.hangup), ("Source", rule.source)]
    if rule.django:
        bullets.append(("In Django", f"`hangup.{rule.django}`"))
    yield "\n".join(_folded(f"* {label}: {text}", "  ") for label, text in bullets)


def _folded(paragraph: str, indent: str = "") -> str:
    return textwrap.fill(
        paragraph, 120, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    )


if __name__ == "__main__":
    import sys

    sys.stdout.write(document())
