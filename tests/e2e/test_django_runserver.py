"""``manage.py runserver``, Django's own and daphne's, and clients that leave."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import leaving
import pytest
import servers
from test_django import OCTETS, Site, in_a_stream, in_an_upload, most_are_slow


@pytest.mark.parametrize("server", most_are_slow(("", "daphne"), ("",)))
def test_runserver_is_quiet_about_clients_that_leave(
    server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Django's own, and daphne's: nothing above DEBUG, and no traceback."""
    if server and servers.missing(server):
        pytest.skip("daphne is not installed")
    path = [str(servers.DAPHNE)] if server else []
    monkeypatch.setenv("PYTHONPATH", ":".join([*path, str(Path(__file__).parent)]))
    monkeypatch.setenv("SITE_SERVER", server)
    command = [sys.executable, "-m", "django_site", "runserver", "--noreload", "127.0.0.1:0"]
    log = tmp_path / "log"
    with log.open("w") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output)
    try:
        running = Site("runserver", servers.port_of(process, log), log)
        start = log.stat().st_size
        for path_of_request in ("/stream", "/sse"):
            in_a_stream(path_of_request)(running)
            running.wait_for(f"{path_of_request} closed", start=start)
        in_an_upload("/upload", OCTETS, abruptly=True)(running)
        assert leaving.get(running.port, "/database").startswith(b"HTTP/1.1 500 ")
        running.wait_to_say("LOG ERROR django.request Internal Server Error: /database")
    finally:
        process.terminate()
        process.wait(10)
    said = log.read_text()[start:]
    assert "Broken pipe" not in re.sub("LOG DEBUG .*", "", said)
    loud = re.findall("LOG (?:WARNING|ERROR|CRITICAL) (.*)", said)
    assert loud
    assert all("/database" in line for line in loud), said
