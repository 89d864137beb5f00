"""``--fix``: what it changes mends the fault, is valid to the program that reads it, and leaves every other byte."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
from pathlib import Path
from typing import Optional

import pytest
from doctor.planted import PLANTED
from doctor.planting import Planted
from doctor.projects import BEHIND_NGINX, NGINX
from doctor.test_planted import found_in, write
from hangup._doctor import edits, mend
from hangup._doctor.registry import Edit, Finding, rules
from hangup._doctor.values import Place

pytest.importorskip("crossplane")
pytest.importorskip("yaml")

#: Those whose planted form is one that --fix changes.
FIXABLE = [each for each in PLANTED if rules()[each.code].is_mended]
IDS = [f"{each.code}-{number}" for number, each in enumerate(FIXABLE)]
#: Planted where a default is wrong: there is no line to change, or it is a line of a list in another form.
BY_HAND = {("HUP108", "gunicorn.conf.py:0"), ("HUP407", "")}


def mended(folder: Path, planted: Planted) -> list[mend.Change]:
    """Applies what is found; what was written."""
    made = mend.changes(found_in(folder, planted.limits))
    for change in made:
        mend.write(change)
    return made


@pytest.mark.parametrize("planted", FIXABLE, ids=IDS)
def test_the_fault_is_gone_and_the_rest_is_as_it_was(
    planted: Planted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second run changes nothing."""
    monkeypatch.chdir(tmp_path)
    write(planted.files, tmp_path)
    made = mended(tmp_path, planted)
    if (planted.code, planted.place) in BY_HAND:
        assert made == []
        return
    assert made
    assert found_in(tmp_path, planted.limits) == []
    assert mended(tmp_path, planted) == []
    for name, content in planted.files.items():
        now = (tmp_path / name).read_text().splitlines()
        kept = [line for line in content.splitlines() if line in now]
        assert len(content.splitlines()) - len(kept) <= 1, name  # at most one line is another


@pytest.mark.parametrize("end", ["\n", "\r\n"], ids=["lf", "crlf"])
def test_line_ends_and_foreign_bytes_stay(end: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also those that are not UTF-8, and a missing end of the last line."""
    monkeypatch.chdir(tmp_path)
    source = f'worker_class = "gthread"{end}reload = True  # \xe9{end}x = 1'.encode("latin-1")
    (tmp_path / "gunicorn.conf.py").write_bytes(source)
    findings = [each for each in found_in(tmp_path) if each.code == "HUP102"]
    for change in mend.changes(findings):
        mend.write(change)
    assert (tmp_path / "gunicorn.conf.py").read_bytes() == source.replace(b"True", b"False")


def test_the_mode_stays_and_a_link_stays_a_link(tmp_path: Path) -> None:
    """What it points to is changed."""
    real = tmp_path / "real.conf"
    real.write_text("old\n")
    real.chmod(0o640)
    link = tmp_path / "link.conf"
    link.symlink_to(real)
    mend.write(mend.Change(str(link), "old\n", "new\n"))
    assert link.is_symlink()
    assert real.read_text() == "new\n"
    assert stat.S_IMODE(real.stat().st_mode) == 0o640
    assert sorted(os.listdir(tmp_path)) == ["link.conf", "real.conf"]


def test_a_line_that_changed_meanwhile_is_left_alone(tmp_path: Path) -> None:
    """And of two edits of one line the first is made."""
    path = tmp_path / "a.conf"
    path.write_text("one\ntwo\n")
    stale = Edit(str(path), 1, "another", ("1",))
    first, second = Edit(str(path), 2, "two", ("2",)), Edit(str(path), 2, "two", ("II",))
    found = Finding("HUP102", Place(str(path), 1), "", None, (stale, first, second))
    assert [change.after for change in mend.changes([found])] == ["one\n2\n"]


def test_headers_that_were_inherited_are_still_sent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A location with a header of its own inherits none: they are repeated."""
    monkeypatch.chdir(tmp_path)
    above = (
        "        proxy_set_header Host $http_host;\n        proxy_set_header X-Forwarded-For $remote_addr;\n"
    )
    bare = "".join(line for line in NGINX.splitlines(keepends=True) if "proxy_set_header" not in line)
    bare = bare.replace("        listen 8080;\n", "        listen 8080;\n" + above)
    write({**BEHIND_NGINX, "nginx.conf": bare}, tmp_path)
    assert {each.code for each in found_in(tmp_path)} == {"HUP401", "HUP402"}
    for change in mend.changes(found_in(tmp_path)):
        mend.write(change)
    assert found_in(tmp_path) == []
    after = (tmp_path / "nginx.conf").read_text()
    assert after.count("proxy_set_header Host $http_host;") == 2
    assert after.count("proxy_set_header Upgrade") == 1


@pytest.mark.parametrize(
    "planted", [each for each in FIXABLE if each.code.startswith("HUP4")], ids=lambda each: each.code
)
def test_nginx_takes_what_was_mended(
    planted: Planted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``nginx -t``."""
    nginx = shutil.which("nginx")
    if nginx is None:
        pytest.skip("nginx is not installed")
    monkeypatch.chdir(tmp_path)
    write(planted.files, tmp_path)
    if "ssl" in planted.files["nginx.conf"]:
        pytest.skip("needs a certificate")
    mended(tmp_path, planted)
    said = subprocess.run(
        [nginx, "-t", "-p", str(tmp_path), "-c", str(tmp_path / "nginx.conf"), "-g", f"pid {tmp_path}/pid;"],
        capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip
    assert said.returncode == 0, said.stderr


@pytest.mark.parametrize(
    "planted", [each for each in FIXABLE if each.code.startswith("HUP5")], ids=lambda each: each.place
)
def test_systemd_takes_what_was_mended(
    planted: Planted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``systemd-analyze verify``."""
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        pytest.skip("systemd-analyze is not installed")
    monkeypatch.chdir(tmp_path)
    write(planted.files, tmp_path)
    mended(tmp_path, planted)
    said = subprocess.run(
        [analyze, "verify", "--man=no", str(tmp_path / "board.service")],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert "board.service" not in said.stderr, said.stderr


@pytest.mark.parametrize(
    ("block", "after"),
    [
        ("upstream a {\n  server b;\n", "upstream a {\n  ip_hash;\n  server b;\n"),
        ("upstream a\n{\n\tserver b;\n", "upstream a\n{\n\tip_hash;\n\tserver b;\n"),
        ("upstream a { # ours\nserver b;\n", "upstream a { # ours\n    ip_hash;\nserver b;\n"),
        ("upstream a { server b; }\nserver {\n", None),
        ("upstream a { server b;\n}\nserver {\n", None),
        ("upstream a # {\n{ server b; }\n", None),
    ],
)
def test_a_directive_goes_into_its_own_block_or_nowhere(
    block: str, after: Optional[str], tmp_path: Path
) -> None:
    """Also if the next block begins on the next line."""
    path = tmp_path / "nginx.conf"
    path.write_text(block)
    change = edits.nginx_insert(Place(str(path), 1), "ip_hash;")
    made = mend.changes([Finding("HUP408", Place(str(path), 1), "", None, change)])
    assert [each.after for each in made] == ([] if after is None else [after])
