"""SafeSocket.sendfile: what is sent, what is refused, and a file closed in the middle."""

from __future__ import annotations

import io
import os
import socket
import threading
from pathlib import Path
from typing import Any

import pytest
from hangup import SafeSocket

Pair = tuple[SafeSocket, socket.socket]
MORE_THAN_BUFFERS = b"0123456789abcdef" * (1 << 20)  # 16 MiB: no socket buffer holds it


def read(peer: socket.socket, size: int = -1) -> bytes:
    """So many bytes, or everything up to the end of the stream."""
    with peer.makefile("rb") as stream:
        return stream.read(size)


@pytest.mark.parametrize(
    ("offset", "count"), [(0, None), (0, 10), (7, None), (7, 10), (0, 10_000_000), (3_000_000, None)]
)
def test_sendfile_sends_what_was_asked_for(
    pair: Pair, tmp_path: Path, offset: int, count: int | None
) -> None:
    """The part of the file, its length returned, the file positioned behind it."""
    sock, peer = pair
    content = os.urandom(3_000_000)
    path = tmp_path / "file"
    path.write_bytes(content)
    expected = content[offset:] if count is None else content[offset : offset + count]
    received: list[bytes] = []
    reader = threading.Thread(target=lambda: received.append(read(peer)))
    reader.start()
    with path.open("rb") as file:
        assert sock.sendfile(file, offset, count) == len(expected)
        assert file.tell() == offset + len(expected)
    sock.close()
    reader.join()
    assert received == [expected]


def test_sendfile_copies_what_the_kernel_cannot_send(pair: Pair) -> None:
    """A BytesIO has no descriptor."""
    sock, peer = pair
    assert sock.sendfile(io.BytesIO(b"abcdef"), 2) == 4
    assert peer.recv(10) == b"cdef"


def test_sendfile_refuses_as_socket_does(pair: Pair, tmp_path: Path) -> None:
    """Text files, counts that are not positive, sockets that do not wait."""
    sock, _ = pair
    path = tmp_path / "file"
    path.write_bytes(b"x")
    with path.open() as text, pytest.raises(ValueError, match="binary"):
        sock.sendfile(text)  # type: ignore[arg-type]
    with path.open("rb") as file:
        for count in (0, -1):
            with pytest.raises(ValueError, match="positive"):
                sock.sendfile(file, 0, count)
        sock.setblocking(False)
        with pytest.raises(ValueError, match="non-blocking"):
            sock.sendfile(file)


def test_sendfile_survives_the_close_of_its_file(pair: Pair, running: Any, tmp_path: Path) -> None:
    """Another thread closes the file and opens another with its number: the first one's bytes are sent."""
    sock, peer = pair
    path, other = tmp_path / "file", tmp_path / "other"
    path.write_bytes(MORE_THAN_BUFFERS)
    other.write_bytes(b"!" * len(MORE_THAN_BUFFERS))
    number = os.open(path, os.O_RDONLY)
    writer = running(sock._send_file, number, 0, len(MORE_THAN_BUFFERS))
    writer.wait_blocked()
    os.close(number)
    assert os.open(other, os.O_RDONLY) == number
    assert read(peer, len(MORE_THAN_BUFFERS)) == MORE_THAN_BUFFERS
    assert writer.outcome() == len(MORE_THAN_BUFFERS)
    os.close(number)
