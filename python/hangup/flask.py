"""Flask: requests whose clients leave::

    hangup = hangup.flask.Hangup(app)        # or init_app(app)
    if hangup.flask.client_gone(): ...       # in a view, or a generator with its context

Promised
    A view that reads an upload which its client aborted, and a response whose client reset the connection, are 499 and
    counted; so is a generator whose client left, which is closed as soon as it has made its next piece. Errors of
    anything else stay Flask's. ``flask hangup doctor``, ``fds`` and ``top`` say what is guarded, open and counted.

How
    Whatever goes wrong while an upload is read is a ``ClientDisconnected`` of werkzeug, or, where werkzeug trusts the
    server with its length, the error of the socket. What the client is, and whether it is there:
    :mod:`hangup._client`.

Not promised
    That a generator that waits in its own code is woken.
"""

from __future__ import annotations

from typing import Any, Callable, Optional

from . import _client, _install, _mode
from ._pieces import Pieces, Upload, is_cut_short
from .exceptions import Broken, PeerGone

__all__ = ["Hangup", "client_gone"]

#: The status of a request whose client left.
CLIENT_CLOSED_REQUEST = 499


def client_gone() -> bool:
    """Whether the client of the request that is being handled has left. Does not wait.

    Raises:
        RuntimeError: there is no request.
    """
    return _client_now().gone


class Hangup:
    """The extension: one for any number of applications.

    Args:
        app: a ``flask.Flask``, or None for :meth:`init_app` later.
    """

    def __init__(self, app: Any = None) -> None:
        if app is not None:
            self.init_app(app)

    def init_app(self, app: Any) -> None:
        """Adds handlers, hooks and commands to an application; a second time, nothing."""
        if "hangup" in app.extensions:
            return
        from werkzeug.exceptions import ClientDisconnected

        app.extensions["hangup"] = self
        app.cli.add_command(_commands())
        _install.install()
        if _mode.mode() != _mode.ON:
            return
        for kind in (ClientDisconnected, PeerGone, Broken):
            app.register_error_handler(kind, _answer)
        app.before_request(_expect_all_of_it)
        app.after_request(_watch)


def _client_now() -> _client.Client:
    import flask

    environ = flask.request.environ
    known: Optional[_client.Client] = environ.get(_client.KEY)
    if known is None:
        off = _mode.mode() == _mode.OFF
        known = environ[_client.KEY] = _client.Client() if off else _client.of_environ(environ)
    return known


def _answer(failure: Exception) -> Any:
    """For the errors that a client's departure can be: those that it is not go on."""
    from werkzeug.exceptions import HTTPException

    client = _client_now()
    if not client.gone:
        if isinstance(failure, HTTPException):
            return failure  # what it is without us
        raise failure
    client.count()
    return "", CLIENT_CLOSED_REQUEST


def _expect_all_of_it() -> None:
    import flask

    length = flask.request.content_length
    environ = flask.request.environ
    client = _client_now()
    if length and isinstance(client, _client.WsgiClient):
        environ["wsgi.input"] = Upload(environ["wsgi.input"], length, client)


def _watch(response: Any) -> Any:
    client = _client_now()
    if response.is_streamed:
        response.call_on_close(_follow(response, client))
    elif response.status_code < 400 and client.is_over:
        client.count()
        response.status_code = CLIENT_CLOSED_REQUEST
    return response


def _follow(response: Any, client: _client.Client) -> Callable[[], None]:
    """Closes the response's iterator when its client leaves. What counts it at the end."""
    pieces: Optional[Pieces] = None
    if not response.direct_passthrough:  # else it is a file: the server sends it, and closes it
        response.response = pieces = Pieces(iter(response.response), client, response.content_length)

    def ended() -> None:
        was_cut_short = is_cut_short() if pieces is None else not pieces.is_finished
        if was_cut_short and client.gone:
            client.count()

    return ended


def _commands() -> Any:
    import click

    from . import _inquiry

    def say(lines: Any) -> None:
        try:
            for line in lines:
                click.echo(line)
        except (OSError, LookupError) as error:
            raise click.ClickException(str(error)) from error

    group = click.Group(
        "hangup", help="What hangup guards, what a process holds open, what its workers counted."
    )
    pid = click.option("--pid", type=int, required=True, help="of gunicorn's master, or of a worker")

    @group.command(help="What is guarded here, and what is wrong with the deployment in this folder.")
    def doctor() -> None:
        say(_inquiry.doctor())
        lines, is_ill = _inquiry.findings()
        say(lines)
        if is_ill:
            raise SystemExit(1)

    @group.command(help="What a process holds open.")
    @pid
    def fds(pid: int) -> None:
        say(_inquiry.fds(pid))

    @group.command(help="What the workers counted.")
    @pid
    @click.option("--every", default=1.0, help="seconds between two readings")
    @click.option("--times", default=1, help="how many readings")
    def top(pid: int, every: float, times: int) -> None:
        say(_inquiry.top(pid, every, times))

    return group
