"""A real Prometheus scrapes a real gunicorn, and its alerts fire on what goes wrong there, and on nothing else."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from e2e_gunicorn import Gunicorn, gunicorn
from hangup._demo.server import wait_until
from test_metrics_gunicorn import started

RULES = Path(__file__).resolve().parents[2] / "docs" / "ops" / "hangup.rules.yml"

#: Serves its metrics, from whichever worker is asked; /leak leaves a file open, /rob closes a connection of gunicorn's.
APP = """
import os, threading
from hangup import ops
left_open = []
def app(environ, start_response):
    path = environ["PATH_INFO"]
    if path in ("/metrics", "/readyz"):
        return ops.application(environ, start_response)
    if path == "/leak":
        left_open.append(os.open("/dev/null", os.O_RDONLY))
    if path == "/rob":
        environ["gunicorn.socket"].close()
    start_response("200 OK", [("Content-Length", "2"), ("Connection", "close")])
    return [b"ok"]
"""


class Prometheus:
    """A prometheus of its own, with the shipped rules; their minutes are fifths of a second here."""

    def __init__(self, directory: Path, target: int) -> None:
        if shutil.which("prometheus") is None:
            pytest.skip("prometheus is not installed (Debian: prometheus)")
        directory.mkdir()
        faster = re.sub(r"\b(\d+)m\b", lambda minutes: f"{int(minutes[1]) * 200}ms", RULES.read_text())
        (directory / "rules.yml").write_text(faster)
        scrape = {"job_name": "hangup", "static_configs": [{"targets": [f"127.0.0.1:{target}"]}]}
        pace = {"scrape_interval": "100ms", "scrape_timeout": "100ms", "evaluation_interval": "100ms"}
        configuration = {"global": pace, "rule_files": ["rules.yml"], "scrape_configs": [scrape]}
        (directory / "prometheus.yml").write_text(json.dumps(configuration))  # JSON is YAML
        self.log_file = directory / "log"
        with self.log_file.open("wb") as log:
            self.process = subprocess.Popen(
                ["prometheus", f"--config.file={directory}/prometheus.yml", "--web.listen-address=127.0.0.1:0",
                 f"--storage.tsdb.path={directory}/data"],
                stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT,
            )  # fmt: skip
        self.port = 0

    def is_ready(self) -> bool:
        """Whether it answers, at the port that the kernel chose."""
        if self.process.poll() is not None:
            raise AssertionError(self.log_file.read_text())
        links = []
        directory = f"/proc/{self.process.pid}/fd"
        for name in os.listdir(directory):
            with contextlib.suppress(FileNotFoundError):
                links.append(os.readlink(f"{directory}/{name}"))
        with open(f"/proc/{self.process.pid}/net/tcp") as table:
            for fields in (line.split() for line in table):
                if fields[3] == "0A" and f"socket:[{fields[9]}]" in links:
                    self.port = int(fields[1].partition(":")[2], 16)
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/-/ready", timeout=10):
                return True
        except urllib.error.HTTPError as error:  # not yet
            error.close()
        except OSError:
            pass
        return False

    def ask(self, path: str) -> Any:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/api/v1/{path}", timeout=10) as answer:
            return json.load(answer)["data"]

    def value(self, expression: str) -> float:
        found = self.ask(f"query?query={quote(expression)}")["result"]
        return float(found[0]["value"][1]) if found else -1.0

    def firing(self) -> set[str]:
        alerts = self.ask("alerts")["alerts"]
        return {alert["labels"]["alertname"] for alert in alerts if alert["state"] == "firing"}


@contextlib.contextmanager
def prometheus(directory: Path, target: int) -> Iterator[Prometheus]:
    server = Prometheus(directory, target)
    try:
        assert wait_until(server.is_ready, 20)
        assert wait_until(lambda: server.value("hangup_workers") > 0, 20), server.log_file.read_text()
        yield server
    finally:
        server.process.kill()
        server.process.wait()


def request(server: Gunicorn, path: str) -> None:
    # /rob: the connection ends without an answer
    with (
        contextlib.suppress(OSError),
        urllib.request.urlopen(f"http://127.0.0.1:{server.port}{path}", timeout=5),
    ):
        pass


def test_alerts_fire_on_a_leak_and_on_ownership_violations_and_on_nothing_else(tmp_path: Path) -> None:
    """First nothing does; then what was done is what is told. Scraped from whichever worker answers."""
    args = ("-c", "python:hangup.gunicorn", "-k", "gthread", "--threads", "4", "-w", "2")
    with gunicorn(tmp_path, *args, app=APP) as server:
        started(server, 2)
        with prometheus(tmp_path / "prometheus", server.port) as watching:
            for _ in range(20):
                request(server, "/")
            assert watching.value("hangup_workers_serving") == 2
            assert watching.firing() == set()
            for _ in range(3):
                request(server, "/rob")
            assert wait_until(lambda: watching.value("sum(hangup_ownership_violations_total)") == 3, 10)
            assert wait_until(lambda: watching.firing() == {"HangupOwnershipViolation"}, 10), (
                watching.firing()
            )

            def leaks() -> bool:
                for _ in range(10):
                    request(server, "/leak")
                return "HangupDescriptorLeak" in watching.firing()

            assert wait_until(leaks, 60), watching.ask("alerts")
            leaking = watching.ask("alerts")["alerts"]
            told = {alert["annotations"]["summary"] for alert in leaking if alert["state"] == "firing"}
            assert any("opens descriptors and does not close them" in text for text in told)
            assert watching.firing() <= {"HangupDescriptorLeak", "HangupOwnershipViolation"}
