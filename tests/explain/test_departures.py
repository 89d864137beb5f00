"""The verdict on text agrees with that on live records."""

from __future__ import annotations

import sys

import pytest
from hangup import logfilter
from hangup._explain.asked import about
from hangup._explain.departures import UNDECIDED, departure
from hangup._explain.families import Judge, Kind
from hangup._explain.heads import logger_of
from hangup._explain.tracebacks import parse
from hangup._explain.verdict import of_exceptions, of_line
from replay import Record, corpus, name_of, replay
from text import printed

CORPUS = corpus()


def is_departure(record: Record, logger: str) -> bool:
    """By its text alone."""
    raised = record.get("raised") or record.get("handled")
    return (
        of_exceptions(parse(printed(raised)), logger).departure
        if raised
        else of_line(record["message"]).departure
    )


@pytest.mark.parametrize("knows", ["logger", "message"])
def test_it_agrees_with_the_log_filter(knows: str, capsys: pytest.CaptureFixture[str]) -> None:
    """No record that the filter lets pass is a client's; of the others, those are missed whose text does not tell.

    Once the logger is in the text, as some formats have it, once only what gunicorn's and uvicorn's formats show.
    """
    agreed, missed = 0, []
    for record in CORPUS:
        logger = record["logger"] if knows == "logger" else logger_of([record["message"]])
        live = replay(record, logfilter.departure) is not None
        said = is_departure(record, logger)
        assert live or not said, name_of(record)
        agreed += live == said
        missed += [record] if live != said else []
    with capsys.disabled():
        sys.stderr.write(f"\n{agreed} of {len(CORPUS)} records agree, knowing the {knows}\n")
    assert agreed >= len(CORPUS) - 5
    for record in missed:
        assert departure(parse(printed(record["raised"])), record["logger"])[0] == UNDECIDED, name_of(record)


def frames(*names: str) -> list[str]:
    return ["Traceback (most recent call last):", *(f'  File "{name}", line 5, in f' for name in names)]


SITE = "/srv/venv/lib/python3.11/site-packages"
GUNICORN = f"{SITE}/gunicorn/workers/gthread.py"
RESET = "ConnectionResetError: [Errno 104] Connection reset by peer"
LINK = ["", "During handling of the above exception, another exception occurred:", ""]

BUGS = {
    "a KeyError that passes engineio": [
        *frames(f"{SITE}/engineio/server.py", f"{SITE}/engineio/base_server.py", "/srv/app/rooms.py"),
        "KeyError: 'Session is disconnected'",
    ],
    "a database's reset": [*frames(GUNICORN, "/srv/app/db.py", f"{SITE}/psycopg/connection.py"), RESET],
    "a database's reset without a frame of one's own": [*frames(GUNICORN, f"{SITE}/psycopg/connection.py"), RESET],
    "a database's own type": [
        *frames(GUNICORN, "/srv/app/db.py", f"{SITE}/psycopg/connection.py"),
        "psycopg.OperationalError: consuming input failed: server closed the connection unexpectedly",
        "\tThis probably means the server terminated abnormally",
    ],
    "EBADF of one's own file": [*frames(GUNICORN, "/srv/app/files.py"), "OSError: [Errno 9] Bad file descriptor"],
    "a folder that is named as the server": [*frames(GUNICORN, "/srv/app/gunicorn/helpers.py"), RESET],
    "a module that is named as the standard library's": [*frames(GUNICORN, "/srv/app/lib/socket.py"), RESET],
    "a file": [*frames(GUNICORN), "TimeoutError: [Errno 110] Connection timed out: '/mnt/share/report.csv'"],
    "a bug while a reset is handled": [
        *frames(GUNICORN), RESET, *LINK, *frames("/srv/app/on_leave.py"), "KeyError: 'player'",
    ],
    "a reset while a bug is handled": [*frames("/srv/app/save.py"), "ValueError: no", *LINK, *frames(GUNICORN), RESET],
    "a bug while EBADF is handled": [
        *frames(GUNICORN), "OSError: [Errno 9] Bad file descriptor", *LINK,
        *frames(GUNICORN, "/srv/app/x.py"), "KeyError: 1",
    ],
    "a type that is only named so": [
        *frames(GUNICORN), "mylib.errors.ConnectionResetError: [Errno 104] told by a driver",
    ],
    "one bug in a group of clients that left": [
        "  + Exception Group Traceback (most recent call last):",
        f'  |   File "{GUNICORN}", line 5, in handle',
        "  | ExceptionGroup: two (2 sub-exceptions)",
        "  +-+---------------- 1 ----------------",
        "    | Traceback (most recent call last):",
        f'    |   File "{GUNICORN}", line 5, in handle',
        f"    | {RESET}",
        "    +---------------- 2 ----------------",
        "    | Traceback (most recent call last):",
        '    |   File "/srv/app/rooms.py", line 88, in join',
        "    | KeyError: 'player'",
        "    +------------------------------------",
    ],
}  # fmt: skip


@pytest.mark.parametrize("name", BUGS)
def test_a_bug_is_never_noise(name: str) -> None:
    """Nor is it one of the catalogue's: nobody would look for it there."""
    (found, _), *more = about("\n".join(BUGS[name]).encode()).found
    assert not more
    assert found.kind is Kind.BUG, found.verdict
    own = found.verdict.own
    assert own is None or own.path.startswith("/srv/app/")
    assert (own is None) == ("/srv/app/" not in "\n".join(BUGS[name]))


ERRORS = (
    "Session not found in the cache for user 17",
    "Session not found 17",
    "Invalid session for bob: the payment is lost",
    "Socket for session of the database is broken",
    "Cannot send to sid 17 of the queue",
    "the mail server said: client prematurely closed connection",
    "socket shutdown error: [Errno 32] of the printer",
    "- Broken pipe from the importer",
    "socket.send() raised exception. The printer is off",
    "OSError: write error",
    "recv() failed (104: Connection reset by peer) while reading client 17 of the import",
)


@pytest.mark.parametrize("said", ERRORS)
def test_an_error_of_ones_own_that_has_a_servers_words_is_no_noise(said: str) -> None:
    """Servers' texts count as servers write them."""
    for head in (
        "2026-11-22 07:31:24,123 ERROR app.pay ",
        "[2026-11-22 07:31:24 +0000] [42] [ERROR] ",
        "ERROR:app:",
        "",
    ):
        answer = about(f"{head}{said}".encode())
        assert not answer.harmless
        assert not head or answer.found, said


def test_texts_are_recognised_as_engineio_writes_them() -> None:
    """Loud once, with a remark; later with the id alone. Ids are what clients say they are."""
    for text, code in (
        (
            "Invalid session ; drop table (further occurrences of this error will be logged with level INFO)",
            "HUP003",
        ),
        ("Invalid session 9fQxAAABCDEFGHIJKLMN", "HUP003"),
        ("ERROR:engineio.server:'Session is disconnected' 9fQxAAABCDEFGHIJKLMN", "HUP006"),
        ("Socket for session 9fQxAAABCDEFGHIJKLMN is not connected", "HUP006"),
        ("2026-11-22 07:31:24,123 WARNING engineio.server Cannot send to sid 9fQxAAABCDEFGHIJKLMN", "HUP006"),
        ("socket.send() raised exception.", "HUP002"),
        ("[22/Nov/2026 07:31:24] - Broken pipe from ('127.0.0.1', 51512)", "HUP002"),
    ):
        [(found, _)] = about(text.encode()).found
        assert found.verdict.failure is not None, text
        assert found.verdict.failure.code == code


def test_a_chain_and_a_group_of_nothing_but_clients_are_noise() -> None:
    """Each link is the server's own."""
    chain = [*frames(GUNICORN), RESET, *LINK, *frames(GUNICORN), "BrokenPipeError: [Errno 32] Broken pipe"]
    assert about("\n".join(chain).encode()).harmless
    group = [line for line in BUGS["one bug in a group of clients that left"] if "rooms" not in line]
    group[-2:-1] = [f'    |   File "{GUNICORN}", line 5, in handle', f"    | {RESET}"]
    assert about("\n".join(group).encode()).harmless, group


def test_the_judge_remembers_no_more_than_it_may(monkeypatch: pytest.MonkeyPatch) -> None:
    """A log whose tracebacks are all different costs time, not memory."""
    from hangup._explain import families
    from hangup._explain.events import Event

    monkeypatch.setattr(families, "_KNOWN_AT_MOST", 1000)
    judge = Judge()
    for number in range(100):
        body = (*frames("/srv/app/x.py"), f"KeyError: {number}")
        assert judge.judge(Event((), body)) is not None
    assert sum(len(body) for _, body in judge._known) <= 1000
