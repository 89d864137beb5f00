"""How many WebSockets and Socket.IO sessions each client may begin.

Promised
    Off unless it is configured. A client beyond its rate is answered 429 with ``Retry-After``, before there is a
    session, and counted (``rejected_connections``). The workers of a gunicorn master share the buckets: a limit is
    the service's, however many workers there are. How exact, and in how much memory:
    ``crates/hangup-core/src/rate_limit/mod.rs``. Who is the client: :mod:`._forwarded`.

Not promised
    HTTP requests that begin neither are not limited; a proxy does that. A service on several machines has a limit on
    each.
"""

from __future__ import annotations

import logging
import math
import os
import re
import threading
import time
from typing import Any, NamedTuple, Optional

from . import _forwarded, _hangup, _mode, _status

logger = logging.getLogger("hangup")

#: ``10/s``, ``600/min,burst=20``: see ``docs/limits.md``.
LIMIT = "HANGUP_CONNECTION_LIMIT"
#: ``10.0.0.0/8,unix``: of proxies that are believed.
PROXIES = "HANGUP_TRUSTED_PROXIES"
#: In which they name their clients.
HEADER = "HANGUP_FORWARDED_HEADER"

#: Seconds between two lines in the log about refusals.
SAY_AFTER = 60.0

_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_RATE = re.compile(
    r"(?P<count>\d{1,9})\s*/\s*(?P<unit>s|m|h|d)(?:ec|econd|in|inute|our|ay)?"
    r"(?:\s*,\s*burst\s*=\s*(?P<burst>\d{1,9}))?",
    re.IGNORECASE,
)


class _Limit(NamedTuple):
    text: tuple[str, str, str]
    buckets: Any
    proxies: _forwarded.Proxies
    environ_key: str


_limit: Optional[_Limit] = None


def parse(text: str) -> tuple[int, int, int]:
    """Reads ``"10/s"`` or ``"600/min,burst=20"``: how many, in so many seconds, and how many at a time.

    Raises:
        ValueError: it is nothing of this kind.
    """
    match = _RATE.fullmatch(text.strip())
    if match is None:
        raise ValueError("is not like 10/s or 600/min,burst=20")
    count = int(match["count"])
    return count, _SECONDS[match["unit"].lower()], int(match["burst"] or count)


def configure() -> None:
    """Makes the limit that the environment asks for, for this process and those that are forked from it. One that is
    asked for already is kept, with what is used up of it.

    Raises:
        ValueError: the environment's text is wrong; what there was is kept.
    """
    global _limit
    text = os.environ.get(LIMIT, "").strip() if _mode.mode() == _mode.ON else ""
    if not text:
        if _limit is not None:
            _status.record("connection_limit", state="off", reason="it is not configured any more")
        _limit = None
        return
    proxies = os.environ.get(PROXIES, _forwarded.ON_THIS_MACHINE)
    header = os.environ.get(HEADER, "").strip() or _forwarded.HEADER
    if _limit is not None and _limit.text == (text, proxies, header):
        return
    try:
        trusted = _forwarded.parse(proxies, header)
    except ValueError as error:
        raise ValueError(f"{PROXIES}={proxies!r}: {error}") from None
    try:
        buckets = _hangup.ConnectionLimit(*parse(text))
    except ValueError as error:
        raise ValueError(f"{LIMIT}={text!r}: {error}") from None
    key = "HTTP_" + header.upper().replace("-", "_")
    _limit = _Limit((text, proxies, header), buckets, trusted, key)
    _status.record(
        "connection_limit", state="on", reason="", limit=text, trusted_proxies=proxies, header=header
    )


def refusal(environ: dict[str, Any]) -> Optional[tuple[str, list[tuple[str, str]], bytes]]:
    """Counts a connection that a WSGI request begins; status, headers and body of the response if it is refused."""
    limit = _limit
    if limit is None:
        return None
    wait = _wait(limit, environ.get("REMOTE_ADDR"), environ.get(limit.environ_key, ""))
    if wait is None:
        return None
    body = b"too many connections: try again later"
    headers = [("Content-Type", "text/plain; charset=utf-8"), ("Content-Length", str(len(body)))]
    return "429 Too Many Requests", [*headers, ("Retry-After", str(wait))], body


def wait_of(peer: Optional[str], headers: list[tuple[bytes, bytes]]) -> Optional[int]:
    """Counts a connection that an ASGI scope begins; the whole seconds to wait if it is refused.

    Args:
        peer: the address; None or empty for a Unix socket.
        headers: with names in lower case.
    """
    limit = _limit
    if limit is None:
        return None
    wanted = limit.proxies.header.lower().encode("latin-1")
    return _wait(limit, peer, b",".join(value for name, value in headers if name == wanted).decode("latin-1"))


def _wait(limit: _Limit, peer: Optional[str], named: str) -> Optional[int]:
    client = limit.proxies.client(peer, named)
    seconds: Optional[float] = limit.buckets.admit(_forwarded.bucket_of(client))
    if seconds is None:
        return None
    hint = ""
    if named and not limit.proxies.trusts(_forwarded.address_of(peer or "")):
        hint = f". It names others in {limit.proxies.header}: is it a proxy, {PROXIES} should have it"
    elif not named and limit.proxies.trusts(client):
        hint = f". It is a trusted proxy that names no client in {limit.proxies.header}"
    _say("who comes by the Unix socket" if client is None else str(client), limit.text[0], hint)
    return max(1, math.ceil(seconds))


_saying = threading.Lock()
_said_at = -math.inf


def _say(client: str, limit: str, hint: str) -> None:
    """One line a minute, for all that were refused."""
    global _said_at
    with _saying:
        if time.monotonic() - _said_at < SAY_AFTER:
            return
        _said_at = time.monotonic()
    logger.warning(
        "hangup: %s is refused with 429: it begins more connections than %s; %d were refused by this worker so far%s",
        client,
        limit,
        _hangup.totals()["rejected_connections"],
        hint,
    )
