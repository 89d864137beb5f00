"""What servers log is recognised, however it was collected."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from hangup._explain.asked import about
from text import SAMPLES, code_of

Collector = Callable[[list[str]], str]


def json_file(lines: list[str]) -> str:
    stamp = "2026-11-22T07:31:29.123456789Z"
    return "\n".join(json.dumps({"log": f"{line}\n", "stream": "stderr", "time": stamp}) for line in lines)


def json_logger(lines: list[str]) -> str:
    """python-json-logger: the traceback is a field."""
    at = next(
        (
            index
            for index, line in enumerate(lines)
            if line.lstrip(" +").startswith(("Traceback", "Exception Group"))
        ),
        1,
    )
    fields = {"asctime": "2026-11-22 07:31:29,123", "levelname": "ERROR", "message": "\n".join(lines[:at])}
    return json.dumps({**fields, "exc_info": "\n".join(lines[at:])})


def journal(lines: list[str]) -> str:
    return "\n".join(
        json.dumps({"_PID": "42", "MESSAGE": line, "__REALTIME_TIMESTAMP": "1795332689123456"})
        for line in lines
    )


COLLECTORS: dict[str, Collector] = {
    "nothing": "\n".join,
    "journald": lambda lines: "\n".join(f"Nov 22 07:31:29 web1 gunicorn[11823]: {line}" for line in lines),
    "journald, ISO": lambda lines: "\n".join(
        f"2026-11-22T07:31:29+0000 web1 gunicorn[11823]: {line}" for line in lines
    ),
    "journald, JSON": journal,
    "docker compose": lambda lines: "\n".join(f"web-1  | {line}" for line in lines),
    "docker logs -t": lambda lines: "\n".join(f"2026-11-22T07:31:29.123456789Z {line}" for line in lines),
    "docker's json-file": json_file,
    "containerd": lambda lines: "\n".join(
        f"2026-11-22T07:31:29.123456789Z stderr F {line}" for line in lines
    ),
    "kubectl --prefix": lambda lines: "\n".join(f"[pod/web-7d9/app] {line}" for line in lines),
    "Heroku": lambda lines: "\n".join(
        f"2026-11-22T07:31:29.123456+00:00 app[web.1]: {line}" for line in lines
    ),
    "a JSON logger": json_logger,
    "Windows": "\r\n".join,
    "colours": lambda lines: "\n".join(f"\x1b[31m{line}\x1b[0m" for line in lines),
}


def test_a_traceback_whose_lines_were_logged_one_by_one_is_one() -> None:
    """Each has gunicorn's head before it."""
    for sample in SAMPLES:
        text = sample.read_text()
        if not text.startswith("Traceback"):
            continue
        head = "[2026-11-22 07:31:24 +0000] [42] [ERROR] "
        lines = [
            line
            for line in text.splitlines()
            if line and not line.startswith("<") and " failed with " not in line
        ]
        answer = about("\n".join(head + line for line in lines).encode())
        codes = [judged.verdict.failure and judged.verdict.failure.code for judged, _ in answer.found]
        assert codes == [code_of(sample)], sample.name


@pytest.mark.parametrize("collector", COLLECTORS)
def test_every_sample_is_recognised_as_what_it_is(collector: str) -> None:
    """And nothing else is seen in it."""
    wrong = []
    for sample in SAMPLES:
        answer = about(COLLECTORS[collector](sample.read_text().splitlines()).encode())
        codes = {judged.verdict.failure and judged.verdict.failure.code for judged, _ in answer.found}
        if codes != {code_of(sample)}:
            wrong.append((sample.name, codes))
    assert wrong == []


@pytest.mark.parametrize(
    "sample",
    [sample for sample in SAMPLES if "Traceback" in sample.read_text()],
    ids=lambda sample: sample.stem,
)
def test_the_last_line_alone_is_no_more_than_possible(sample: Path) -> None:
    """Of a traceback; and it is never said that nothing has to be done."""
    lines = sample.read_text().splitlines()
    last = [line for line in lines if line and not line.startswith((" ", "2", "<"))][-1]
    answer = about(last.encode())
    assert not answer.harmless
    for judged, _ in answer.found:
        assert judged.verdict.failure is None or judged.verdict.confidence.value == "possible"
