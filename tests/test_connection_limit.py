"""Whose connection it is, and what a limit's text means; the buckets' own tests are in ``crates/hangup-core``."""

from __future__ import annotations

import ipaddress
import subprocess
import sys
from typing import Optional

import pytest
from hangup import _connection_limit, _forwarded, _hangup
from hypothesis import given
from hypothesis import strategies as st

BEHIND_NGINX = "127.0.0.1, 10.0.0.0/8, ::1, unix"


@pytest.mark.parametrize(
    ("text", "meaning"),
    [
        ("10/s", (10, 1, 10)),
        ("10/s,burst=20", (10, 1, 20)),
        (" 600 / min , burst = 5 ", (600, 60, 5)),
        ("5/hour", (5, 3600, 5)),
        ("1/D", (1, 86_400, 1)),
    ],
)
def test_a_limit_reads_like_a_rate(text: str, meaning: tuple[int, int, int]) -> None:
    """Its burst is what comes in a period, unless it is said."""
    assert _connection_limit.parse(text) == meaning


@pytest.mark.parametrize(
    "text", ["10", "ten/s", "10/week", "10/s burst=3", "-1/s", "10/s,burst=", "10/s,20", ""]
)
def test_what_is_no_rate_is_refused(text: str) -> None:
    """With a text that says what one looks like."""
    with pytest.raises(ValueError, match="is not like 10/s"):
        _connection_limit.parse(text)


@pytest.mark.parametrize("text", ["0/s", "10/s,burst=0", "900000/s"])
def test_a_rate_that_cannot_be_kept_is_refused(text: str) -> None:
    """Nobody would be admitted, or everybody."""
    with pytest.raises(ValueError):  # noqa: PT011 -- the texts are the core's
        _hangup.ConnectionLimit(*_connection_limit.parse(text))


@pytest.mark.parametrize(
    ("peer", "named", "client"),
    [
        ("203.0.113.9", "", "203.0.113.9"),
        ("203.0.113.9", "198.51.100.1", "203.0.113.9"),  # not a proxy of ours
        ("127.0.0.1", "198.51.100.1", "198.51.100.1"),
        ("127.0.0.1", "6.6.6.6, 198.51.100.1", "198.51.100.1"),  # the client wrote the first one
        ("127.0.0.1", "6.6.6.6, 198.51.100.1, 10.1.2.3", "198.51.100.1"),  # two proxies
        ("127.0.0.1", "10.0.0.7, 10.1.2.3", "10.0.0.7"),  # the client is in our network
        ("127.0.0.1", "", "127.0.0.1"),
        ("127.0.0.1", "unknown", "127.0.0.1"),
        ("127.0.0.1", "198.51.100.1, garbage, 10.1.2.3", "10.1.2.3"),
        ("127.0.0.1", "198.51.100.1:4711", "198.51.100.1"),
        ("127.0.0.1", "[2001:db8::7]:4711", "2001:db8::7"),
        ("127.0.0.1", "2001:db8::7", "2001:db8::7"),
        ("127.0.0.1", ",", "127.0.0.1"),
        ("::1", "198.51.100.1", "198.51.100.1"),
        ("::ffff:127.0.0.1", "198.51.100.1", "198.51.100.1"),
        ("::ffff:203.0.113.9", "198.51.100.1", "203.0.113.9"),
        ("", "198.51.100.1", "198.51.100.1"),
        (None, "", None),
    ],
)
def test_the_client_is_the_last_that_is_no_proxy(
    peer: Optional[str], named: str, client: Optional[str]
) -> None:
    """Of the peer, and of what trusted proxies said."""
    found = _forwarded.parse(BEHIND_NGINX).client(peer, named)
    assert found == (client and ipaddress.ip_address(client))


@pytest.mark.parametrize(
    ("named", "client"),
    [
        ("for=198.51.100.1", "198.51.100.1"),
        ('for=6.6.6.6, For="198.51.100.1:4711";proto=https;by=10.0.0.1', "198.51.100.1"),
        ('proto=http;for="[2001:db8::7]:4711"', "2001:db8::7"),
        ('by="a,for=6.6.6.6", for=198.51.100.1', "198.51.100.1"),
        ("for=198.51.100.1, for=_hidden", "127.0.0.1"),
        ("for=unknown", "127.0.0.1"),
        ("by=198.51.100.1", "127.0.0.1"),
        ('for="198.51.100.1', "198.51.100.1"),
    ],
)
def test_the_standard_header_is_read_where_it_is_asked_for(named: str, client: str) -> None:
    """RFC 7239."""
    found = _forwarded.parse(BEHIND_NGINX, "Forwarded").client("127.0.0.1", named)
    assert found == ipaddress.ip_address(client)


@given(st.text(), st.ip_addresses(), st.sampled_from(["X-Forwarded-For", "Forwarded"]))
def test_a_client_cannot_choose_its_address(spoofed: str, client: object, header: str) -> None:
    """Whatever it sends, to a proxy that appends its address, or around the proxy."""
    for trusted in ("127.0.0.1", "127.0.0.1,unix,::1"):
        proxies = _forwarded.parse(trusted, header)
        if proxies.trusts(_forwarded.address_of(str(client))):
            return
        assert proxies.client(str(client), spoofed) == _forwarded.address_of(str(client))
        if header == "X-Forwarded-For":
            appended = f"{spoofed}, {client}"
            assert proxies.client("127.0.0.1", appended) == _forwarded.address_of(str(client))


def test_an_ipv6_client_is_its_network() -> None:
    """It has more addresses than there are buckets."""
    one, other, stranger = (
        _forwarded.bucket_of(_forwarded.address_of(text))
        for text in ("2001:db8:0:1::1", "2001:db8:0:1:ffff::2", "2001:db8:0:2::1")
    )
    assert one == other != stranger
    assert _forwarded.bucket_of(_forwarded.address_of("192.0.2.1")) != _forwarded.bucket_of(
        _forwarded.address_of("192.0.2.2")
    )


@pytest.mark.parametrize("text", ["localhost", "10.0.0.0/33", "unix:/run/x", "127.0.0.1;::1"])
def test_a_proxy_that_is_none_is_refused(text: str) -> None:
    """By name."""
    with pytest.raises(ValueError, match=text.split("/")[0]):
        _forwarded.parse(text)


def test_a_million_clients_take_no_more_memory_than_ten() -> None:
    """In a process of its own, whose memory is all that is looked at."""
    code = """
import hangup, resource
from hangup import _hangup
limit = _hangup.ConnectionLimit(10, 1.0, 20)
for number in range(100_000):
    limit.admit(number.to_bytes(4, "big"))
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for number in range(1_000_000):
    limit.admit(number.to_bytes(4, "big"))
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(done.stdout) < 200  # KiB
