"""Uploads and streams by themselves: real sockets, and no server."""

from __future__ import annotations

import io
import socket
from collections.abc import Iterator

import pytest
from hangup import PeerGone, SafeSocket
from hangup._client import WsgiClient
from hangup._pieces import Pieces, Upload
from hangup.testing import reset


def test_a_client_is_there_until_it_leaves(pair: tuple[SafeSocket, socket.socket]) -> None:
    """What it has sent is not touched."""
    guarded, theirs = pair
    client = WsgiClient(guarded)
    theirs.sendall(b"more")
    assert (client.gone, client.is_over) == (False, False)
    theirs.shutdown(socket.SHUT_WR)
    assert (client.gone, client.is_over) == (True, False)
    assert guarded.recv(10) == b"more"
    reset(theirs)
    assert (client.gone, client.is_over) == (True, True)


def test_a_connection_that_the_application_closed_has_no_client(
    pair: tuple[SafeSocket, socket.socket],
) -> None:
    """Nor is its number looked at."""
    guarded, _ = pair
    guarded.close()
    assert WsgiClient(guarded).gone


@pytest.mark.parametrize(
    "read",
    [lambda stream: stream.read(), lambda stream: stream.read(10), list],
    ids=["whole", "a part", "line by line"],
)
def test_an_upload_that_ends_early_is_an_error_if_its_client_left(
    read: object, pair: tuple[SafeSocket, socket.socket]
) -> None:
    """Else a part of it was read by others, or its length is not what was said."""
    guarded, theirs = pair
    client = WsgiClient(guarded)
    assert callable(read)
    assert read(Upload(io.BytesIO(b"part"), 10, client)) in (b"part", [b"part"])
    theirs.close()
    with pytest.raises(PeerGone):
        read(Upload(io.BytesIO(b"part"), 10, client))
    assert read(Upload(io.BytesIO(b"all"), 3, client)) in (b"all", [b"all"])


def test_pieces_end_with_their_client(pair: tuple[SafeSocket, socket.socket]) -> None:
    """The generator is closed with them."""
    closed = []

    def made() -> Iterator[bytes]:
        try:
            yield from (b"a", b"b", b"c")
        finally:
            closed.append(True)

    guarded, theirs = pair
    pieces = Pieces(made(), WsgiClient(guarded))
    assert next(pieces) == b"a"
    theirs.close()
    with pytest.raises(PeerGone):
        next(pieces)
    pieces.close()
    assert closed
    assert not pieces.is_finished


def test_who_has_all_pieces_may_leave(pair: tuple[SafeSocket, socket.socket]) -> None:
    """All that Content-Length said: the iterator is then read to its end all the same."""
    guarded, theirs = pair
    pieces = Pieces(iter([b"all", b""]), WsgiClient(guarded), 3)
    assert next(pieces) == b"all"
    assert pieces.is_finished
    theirs.close()
    assert list(pieces) == [b""]
