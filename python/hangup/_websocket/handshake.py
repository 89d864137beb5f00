"""The opening handshake of a WebSocket, and the HTTP response to one that is refused, without I/O.

Promised
    The handshake is judged before the application is asked (RFC 6455 section 4.2.1). Header fields of the application
    that would end a field early are refused (h11 does). What the client sent behind its request is kept.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Any, Iterable, Optional
from urllib.parse import unquote

import h11

from .. import _hangup
from . import takeover

Headers = Iterable[tuple[bytes, bytes]]


#: RFC 9110 section 6.4.1.
_WITHOUT_BODY = (204, 304)


class Refused(Exception):
    """Not a good handshake: ``status`` and ``headers`` of the response, whose body is the message."""

    def __init__(self, status: int, headers: Headers, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.headers = headers


class Handshake:
    """One upgrade request, and its answer."""

    def __init__(self) -> None:
        self._http = h11.Connection(h11.SERVER)
        self._key = ""

    def receive(self, data: bytes) -> None:
        """Takes what the client sent: its request first."""
        self._http.receive_data(data)

    def scope(self, root_path: str) -> dict[str, Any]:
        """The request, in the words of ASGI.

        Raises:
            Refused: it is not a good handshake.
        """
        try:
            request = self._http.next_event()
            self._http.next_event()  # the end of the message
        except h11.RemoteProtocolError as error:
            raise Refused(error.error_status_hint, [], str(error)) from error
        if not isinstance(request, h11.Request):
            raise Refused(400, [], "a WebSocket begins with a request")
        self._judge(request)
        path, _, query = request.target.partition(b"?")
        offered = [value for name, value in request.headers if name == b"sec-websocket-protocol"]
        return {
            "type": "websocket",
            "http_version": "1.1",
            "root_path": root_path,
            "path": root_path + unquote(path.decode("ascii")),
            "raw_path": root_path.encode("ascii") + path,
            "query_string": query,
            "headers": list(request.headers),
            "subprotocols": [
                name.strip() for value in offered for name in value.decode("latin-1").split(",")
            ],
            "extensions": {"websocket.http.response": {}},
        }

    def _judge(self, request: h11.Request) -> None:
        environ = {
            "REQUEST_METHOD": request.method.decode("ascii"),
            "SERVER_PROTOCOL": f"HTTP/{request.http_version.decode('ascii')}",
        }
        for name, value in request.headers:
            key = "HTTP_" + name.decode("ascii").upper().replace("-", "_")
            text = value.decode("latin-1")
            environ[key] = f"{environ[key]}, {text}" if key in environ else text
        refused = takeover.refusal(environ)
        if refused is not None:
            status, headers, body = refused
            coded = [(name.encode(), value.encode()) for name, value in headers]
            raise Refused(int(status[:3]), coded, body.decode())
        self._key = environ["HTTP_SEC_WEBSOCKET_KEY"].strip()

    @property
    def early(self) -> bytes:
        """What the client sent behind its request."""
        return bytes(self._http.trailing_data[0])

    def accept(self, subprotocol: Optional[str], headers: Headers) -> bytes:
        """The 101.

        Raises:
            h11.LocalProtocolError: a header field is not one.
        """
        fields = [
            (b"Upgrade", b"websocket"),
            (b"Connection", b"Upgrade"),
            (b"Sec-WebSocket-Accept", _hangup.accept_key(self._key).encode("ascii")),
            *headers,
        ]
        if subprotocol:
            fields.append((b"Sec-WebSocket-Protocol", subprotocol.encode("latin-1")))
        return self._sent(h11.InformationalResponse(status_code=101, headers=fields, reason=_phrase(101)))

    def respond(self, status: int, headers: Headers, body: bytes) -> bytes:
        """The response instead, with the length that the body has.

        Raises:
            h11.LocalProtocolError: a header field is not one.
        """
        if status in _WITHOUT_BODY:
            body = b""
        framing = (b"content-length", b"transfer-encoding", b"connection")
        fields = [field for field in headers if field[0].lower() not in framing]
        if not any(name.lower() == b"content-type" for name, _ in fields):
            fields.append((b"Content-Type", b"text/plain; charset=utf-8"))
        fields += [(b"Content-Length", str(len(body)).encode("ascii")), (b"Connection", b"close")]
        response = h11.Response(status_code=status, headers=fields, reason=_phrase(status))
        return self._sent(response) + self._sent(h11.Data(data=body)) + self._sent(h11.EndOfMessage())

    def _sent(self, event: h11.Event) -> bytes:
        return self._http.send(event) or b""


def _phrase(status: int) -> bytes:
    try:
        return HTTPStatus(status).phrase.encode("ascii")
    except ValueError:
        return b""
