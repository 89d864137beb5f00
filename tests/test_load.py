"""What the command lines of ``bench`` and ``storm`` mean, before anything is sent."""

from __future__ import annotations

import json
import re
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hangup._load import Refused
from hangup._load.bench import MODES, Wish, bench, found
from hangup._load.limits import make_room
from hangup._load.requirements import parse, verdicts
from hangup._load.storm import KINDS, parse_mix, shares
from hangup._load.target import HTTP, SOCKETIO, WEBSOCKET, Options, target

FIGURES: dict[str, Any] = {
    "clients": 10,
    "succeeded": 9,
    "connected": 10,
    "answered": 89,
    "expected": 0,
    "failed": 1,
    "seconds": 2.0,
    "over": True,
    "latency_us": {"count": 89, "p50": 800, "p99": 49_999, "p999": 60_000},
    "connect_us": {"count": 0},
}


@pytest.mark.parametrize(
    ("text", "met"),
    [
        ("success>=90%", True),
        ("success > 89 %", True),
        ("success>=90.1%", False),
        ("errors<1%", False),
        ("errors<=1%", True),
        ("p99<50ms", True),
        ("p99<0.05s", True),
        ("p99<=49998us", False),
        ("p99.9<60.1ms", True),
        ("rate>=44.5", True),
        ("connect.p99<1s", False),  # nothing was measured
    ],
)
def test_a_requirement_is_compared_with_what_was_found(text: str, met: bool) -> None:
    """In its own unit; what was not measured is not met."""
    (verdict,) = verdicts([parse(text)], found(FIGURES))
    assert verdict.met is met, verdict


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "is not like"),
        ("success", "is not like"),
        ("success=95%", "is not like"),
        ("success>=95", "is a share: success>=95%"),
        ("success>=101%", "more than 100%"),
        ("success>=-1%", "is not like"),
        ("success>=nan%", "is not like"),
        ("success>=9e1%", "is not like"),
        ("success>=95%; rm", "is not like"),
        ("p99<50", "with us, ms or s"),
        ("p99<50%", "with us, ms or s"),
        ("p99<50min", "with us, ms or s"),
        ("p98<50ms", "'p98' is none of success, errors"),
        ("rate>5ms", "without a unit"),
        ("p99<\u0665ms", "is not like"),
    ],
)
def test_what_is_no_requirement_is_refused_with_the_reason(text: str, reason: str) -> None:
    """Never guessed."""
    with pytest.raises(Refused, match=re.escape(reason)):
        parse(text)


def test_an_interrupted_crowd_has_no_success_yet() -> None:
    """Who was still at it has neither succeeded nor failed."""
    figures = {**FIGURES, "over": False, "succeeded": 0, "failed": 0}
    assert found(figures)["success"] is None


def test_a_broadcast_that_did_not_arrive_everywhere_is_no_success() -> None:
    """Though all clients are there."""
    figures = {**FIGURES, "succeeded": 10, "expected": 178}
    assert found(figures)["success"] == 50.0


@pytest.mark.parametrize(
    ("url", "protocol", "address", "host", "path"),
    [
        ("http://127.0.0.1:8000", HTTP, "127.0.0.1:8000", "127.0.0.1:8000", "/"),
        ("127.0.0.1:8000/x?y=1", HTTP, "127.0.0.1:8000", "127.0.0.1:8000", "/x?y=1"),
        (":8000", HTTP, "127.0.0.1:8000", "127.0.0.1:8000", "/"),
        ("ws://127.1.2.3/echo", WEBSOCKET, "127.1.2.3:80", "127.1.2.3", "/echo"),
        ("ws://[::1]:81/", WEBSOCKET, "[::1]:81", "[::1]:81", "/"),
        ("http://127.0.0.1:5000/socket.io/", SOCKETIO, "127.0.0.1:5000", "127.0.0.1:5000", "/socket.io/"),
    ],
)
def test_a_url_says_where_and_what(url: str, protocol: str, address: str, host: str, path: str) -> None:
    """Its protocol is that of its scheme or of Socket.IO's path."""
    read = target(url)
    plan = read.plan
    assert (read.protocol, plan["addresses"], plan["host"], plan["path"]) == (protocol, [address], host, path)


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("unix:/run/app.sock", "/"),
        ("http://unix:/run/app.sock:/health", "/health"),
        ("ws://unix:/run/app.sock:/a?b", "/a?b"),
    ],
)
def test_a_unix_socket_is_written_as_in_nginx(url: str, path: str) -> None:
    """A path behind the second colon."""
    plan = target(url).plan
    assert (plan["unix"], plan["path"], plan["host"]) == ("/run/app.sock", path, "localhost")


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("https://127.0.0.1/", "TLS is not spoken"),
        ("wss://127.0.0.1/", "TLS is not spoken"),
        ("ftp://127.0.0.1/", "neither http: nor ws:"),
        ("http://", "no host"),
        ("http://127.0.0.1:99999/", "99999"),
        ("http://127.0.0.1:0/", "port 0"),
        ("http://[::1/", "IPv6"),
        ("http://me:secret@127.0.0.1/", "--header"),
        ("http://127.0.0.1/\r\nX: y", "printable"),
        ("http://127.0.0.1/\u00e9", "printable"),
        ("http://192.0.2.1/", "is not this machine"),
        ("http://nowhere.invalid/", "nowhere.invalid: "),
        ("unix:app.sock", "begins with /"),
    ],
)
def test_a_url_that_cannot_be_loaded_is_refused(url: str, reason: str) -> None:
    """With what to do instead."""
    with pytest.raises(Refused, match=re.escape(reason)):
        target(url)


def test_a_host_is_loaded_if_it_is_allowed_by_its_name() -> None:
    """And by no other."""
    allowed = Options(allow_remote=("192.0.2.1",))
    assert target("http://192.0.2.1:81/", allowed).plan["addresses"] == ["192.0.2.1:81"]
    with pytest.raises(Refused, match=r"--allow-remote 192\.0\.2\.2"):
        target("http://192.0.2.2/", allowed)
    gone = target("http://nowhere.invalid/", Options(allow_remote=("nowhere.invalid",)))
    assert gone.plan["unresolved"].startswith("nowhere.invalid: ")


@pytest.mark.parametrize(
    "options",
    [
        Options(headers=("no colon",)),
        Options(headers=("X: y\r\nZ: 1",)),
        Options(headers=("a b: c",)),
        Options(auth="{not json"),
        Options(namespace="chat"),
        Options(namespace="/a,b"),
    ],
)
def test_an_option_that_cannot_be_sent_is_refused(options: Options) -> None:
    """Nothing is put into a request that would end a line of it."""
    with pytest.raises(Refused):
        target("http://127.0.0.1/", options)


def test_a_host_header_takes_the_place_of_the_urls() -> None:
    """For virtual hosts."""
    plan = target("http://127.0.0.1/", Options(headers=("Host: shop.example", "X-A: b"))).plan
    assert (plan["host"], plan["headers"]) == ("shop.example", [("X-A", "b")])


@pytest.mark.parametrize("clients", [8, 9, 100, 10_000])
def test_every_kind_has_a_share_and_all_shares_are_the_clients(clients: int) -> None:
    """In proportion to its weight."""
    divided = shares({}, clients)
    assert sum(divided.values()) == clients
    assert set(divided) == set(KINDS)
    assert max(divided.values()) - min(divided.values()) <= 1
    assert shares(parse_mix(("rst=3,silent",)), 402) == {"rst": 301, "silent": 101}


@pytest.mark.parametrize("mix", ["explode", "rst=0", "rst=-1", "rst=inf", "rst=nan", "rst=", "", "rst;fin"])
def test_a_mix_is_read_strictly(mix: str) -> None:
    """Kinds that there are, and weights above zero."""
    with pytest.raises(Refused):
        parse_mix((mix,))


def test_more_kinds_than_clients_are_refused() -> None:
    """Else some kinds would silently not be there."""
    with pytest.raises(Refused, match="8 kinds"):
        shares({}, 7)


@pytest.mark.parametrize(
    ("url", "wish", "reason"),
    [
        ("http://127.0.0.1:1", Wish("fanout"), "no broadcasts"),
        ("http://127.0.0.1:1", Wish("connect"), "--mode sequential"),
        ("ws://127.0.0.1:1", Wish("echo", ack=True), "--ack"),
        ("ws://127.0.0.1:1", Wish("ramp", messages=3), "--messages has no meaning"),
        ("ws://127.0.0.1:1", Wish("echo", steps=(1, 2)), "--steps has no meaning"),
        ("ws://127.0.0.1:1", Wish("ramp", steps=(1, 2), clients=5), "not with --clients"),
        ("ws://127.0.0.1:1", Wish("fanout", send="hello"), "{text}"),
        ("http://127.0.0.1:1/socket.io/", Wish("echo", send="hello"), '42["echo"'),
        ("ws://127.0.0.1:1", Wish("echo", clients=1_000_000), "more than 100000"),
    ],
)
def test_a_wish_that_makes_no_sense_is_refused(url: str, wish: Wish, reason: str) -> None:
    """Before anything is sent: nobody listens at these."""
    with pytest.raises(Refused, match=re.escape(reason)):
        bench(target(url), wish, [])


@pytest.mark.parametrize("mode", MODES)
def test_nobody_at_the_port_is_a_result(mode: str) -> None:
    """Of every mode: all clients are refused, and counted."""
    url = "ws://127.0.0.1:1/"
    wish = Wish(mode, clients=12, seconds=None if MODES[mode].messages else 0.1)
    result = bench(target(url), wish, [parse("success>=95%")])
    assert not result.passed
    assert result.total["connected"] == 0
    assert {error["kind"] for error in result.total["errors"]} == {"refused"}


def test_descriptors_that_cannot_be_had_are_a_usage_error() -> None:
    """With the number that is missing, and how many clients there could be."""
    code = (
        "import resource; resource.setrlimit(resource.RLIMIT_NOFILE, (64, 500))\n"
        "from hangup._cli import main; main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "bench", "ws://127.0.0.1:1", "-m", "concurrent", "-c", "1000"],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert re.search(r"1000 clients need 11\d\d descriptors, and this process may open 500", done.stderr)
    assert re.search(r"at most 3[67]\d clients", done.stderr)


def test_the_limit_of_descriptors_is_raised_only_if_it_is_too_low() -> None:
    """As far as it may be."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    make_room(1)
    assert resource.getrlimit(resource.RLIMIT_NOFILE) == before


def test_a_picture_is_refused_before_the_run(tmp_path: Path) -> None:
    """Nobody should wait for a run whose picture cannot be written."""
    from hangup._load.plot import require_drawing

    for path in ("x.pdf", str(tmp_path / "none" / "x.svg"), str(tmp_path)):
        with pytest.raises(Refused, match="--plot"):
            require_drawing(path)
    require_drawing(str(tmp_path / "x.SVG"))


def test_without_matplotlib_it_says_what_to_install() -> None:
    """An extra of its own."""
    code = "import sys; sys.modules['matplotlib'] = None; from hangup._cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code, "bench", "http://127.0.0.1:1", "--plot", "x.svg"],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert (done.returncode, "pip install 'hangup[plot]'" in done.stderr) == (2, True), done.stderr


def test_the_native_side_refuses_a_plan_that_it_does_not_know() -> None:
    """Not silently half of it."""
    from hangup import _hangup

    for plan in ({}, {"target": {}}, {"target": target("http://127.0.0.1:1").plan, "bench": {"typo": 1}}):
        with pytest.raises(ValueError, match=r"missing field|unknown field|either"):
            _hangup.Load(json.dumps(plan))
