"""``DisconnectMiddleware``: a request whose client left is answered 499 and counted; nothing else is.

Promised
    * An exception is a client's departure if the log filter's judge says so: by whose socket it was, not by its type.
      So ``UnreadablePostError`` and ``RequestAborted`` of a client that left become 499 when the view does not catch
      them; ``RequestDataTooBig`` (400), and an ``OSError`` of anything else, stay with Django, and are logged as ever.
    * ``gone`` tells as much as the server does, and does not wait.

How
    ``process_exception`` comes before Django logs. Put last in ``MIDDLEWARE``, it is asked first.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import Any, Callable, Optional

import django
from asgiref.sync import iscoroutinefunction
from django.http import FileResponse, HttpRequest, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.utils.deprecation import MiddlewareMixin

from .. import _mode
from .._client import KEY, Client, WsgiClient, of_environ
from .._logs.judge import cause
from .._pieces import Pieces, Upload, is_cut_short
from .._websocket.takeover import refusal
from ..exceptions import HangupError
from . import conf
from .pieces import until_gone

_LOG = logging.getLogger("hangup.django")
#: By its rows, whose error it was.
_ROW = "django.request"


class ClientClosedRequest(HttpResponse):  # type: ignore[misc]
    """To a client that is not there."""

    reason_phrase = "Client Closed Request"
    _has_been_logged = True  # Django's: or it would say so at WARNING

    def __init__(self, status: int) -> None:
        super().__init__(status=status)


class DisconnectMiddleware(MiddlewareMixin):  # type: ignore[misc]
    """Tells views whether their client is there, and answers for clients that are not."""

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: Callable[[HttpRequest], Any]) -> None:
        super().__init__(get_response)
        self._is_async = iscoroutinefunction(get_response)
        self._mode = _mode.mode()
        self._settings, _ = conf.read()

    def __call__(self, request: HttpRequest) -> Any:
        """Django's entry. A coroutine in asynchronous mode."""
        if self._is_async:
            return self.__acall__(request)
        client, refused = self._begin(request)
        return refused or self._end(request, client, self.get_response(request))

    async def __acall__(self, request: HttpRequest) -> HttpResponseBase:
        """The same without a thread."""
        client, refused = self._begin(request)
        try:
            return refused or self._end(request, client, await self.get_response(request))
        except asyncio.CancelledError:
            if client.gone:
                self._say(request, "the view was cancelled")
            raise

    def process_exception(self, request: HttpRequest, failure: Exception) -> Optional[HttpResponse]:
        """Django's: an exception that the view did not catch. None leaves it to others."""
        client: Client = getattr(request, "hangup", None) or Client()
        if self._mode == _mode.OFF or not _is_departure(failure, client):
            return None
        client.count()
        self._say(request, str(failure))
        return ClientClosedRequest(self._settings.STATUS) if self._mode == _mode.ON else None

    def _begin(self, request: Any) -> tuple[Client, Optional[HttpResponse]]:
        scope = getattr(request, "scope", None)
        if self._mode == _mode.OFF:
            client = Client()
        elif scope is not None:
            client = scope.get(KEY) or Client()
        else:
            client = of_environ(request.META)
        request.hangup = client
        if self._mode != _mode.ON:
            return client, None
        if scope is None:
            length = _length_of(request)
            if length and isinstance(client, WsgiClient) and not request._read_started:
                request._stream = Upload(request._stream, length, client)
            if self._settings.HANDSHAKES and "HTTP_UPGRADE" in request.META:
                return client, _refusal(request.META)
        return client, None

    def _end(self, request: HttpRequest, client: Client, response: HttpResponseBase) -> HttpResponseBase:
        if self._mode == _mode.OFF:
            return response
        if isinstance(response, StreamingHttpResponse):
            self._watch(request, client, response)
        elif response.status_code < 400 and client.is_over:
            client.count()
            self._say(request, "it is gone before its response")
            if self._mode == _mode.ON:
                return _instead(response, self._settings.STATUS)
        return response

    def _watch(self, request: Any, client: Client, response: StreamingHttpResponse) -> None:
        is_asgi = hasattr(request, "scope")
        pieces: Any = None
        if self._mode == _mode.ON and self._settings.STREAMS and type(client) is not Client:
            pieces = _watched(response, client, is_asgi=is_asgi)

        def ended() -> None:
            was_cut_short = not pieces.is_finished if isinstance(pieces, Pieces) else is_cut_short()
            if was_cut_short and client.gone:
                client.count()
                self._say(request, "its response is closed")

        if not is_asgi:  # there, the client itself counts
            response._resource_closers.insert(0, ended)

    def _say(self, request: HttpRequest, what: str) -> None:
        _LOG.debug("the client of %s %s left: %s", request.method, ascii(request.path), what)


def _is_departure(failure: Exception, client: Client) -> bool:
    if cause(failure, failure.__traceback__, _ROW) is None:
        return False
    # a SafeSocket may be the application's own, to somebody else
    is_ours = isinstance(failure, HangupError)
    return client.gone if is_ours else True


def _length_of(request: HttpRequest) -> int:
    with contextlib.suppress(TypeError, ValueError):
        return int(request.META.get("CONTENT_LENGTH") or 0)
    return 0


def _refusal(environ: dict[str, Any]) -> Optional[HttpResponse]:
    if "websocket" not in environ["HTTP_UPGRADE"].lower():
        return None
    refused = refusal(environ)
    if refused is None:
        return None
    status, headers, body = refused
    response = HttpResponse(body, status=int(status[:3]))
    for name, value in headers:
        if name not in ("Content-Length", "Connection"):  # the server's
            response[name] = value
    return response


def _instead(response: HttpResponseBase, status: int) -> HttpResponse:
    """What is to be closed with ``response`` is closed with this."""
    gone = ClientClosedRequest(status)
    gone._resource_closers.extend(response._resource_closers)
    return gone


def _watched(response: StreamingHttpResponse, client: Client, *, is_asgi: bool) -> Any:
    pieces: Any
    if not is_asgi:
        if response.is_async or isinstance(response, FileResponse):
            return None  # the server sends files by itself, and closes them when it cannot
        length = response.headers.get("Content-Length", "")
        made, size = iter(response.streaming_content), int(length) if length.isdecimal() else None
        response.streaming_content = pieces = Pieces(made, client, size)
    elif not response.is_async:
        # asked when Django iterates: middleware outside this one may still wrap what is streamed
        response.hangup = client
        return None
    elif django.VERSION < (5, 0):
        response.streaming_content = pieces = until_gone(response.streaming_content, client)
    else:
        return None
    return pieces
