"""What ``bench`` and ``storm`` have in common on the command line."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Callable, Optional, TypeVar

import click

if TYPE_CHECKING:
    from .._load.target import Options

_Function = TypeVar("_Function", bound=Callable[..., Any])


class FiniteRange(click.FloatRange):
    """A number between two others; ``nan`` is between none."""

    name = "number"

    def convert(self, value: Any, param: Optional[click.Parameter], ctx: Optional[click.Context]) -> Any:
        """As click does."""
        number = super().convert(value, param, ctx)
        if number != number:
            self.fail("nan is no number", param, ctx)
        return number


_OPTIONS = (
    click.argument("url", required=False),
    click.option(
        "--protocol", type=click.Choice(["http", "websocket", "socketio"]), help="else the URL says it"
    ),
    click.option(
        "--transport",
        type=click.Choice(["websocket", "polling"]),
        default="websocket",
        show_default=True,
        help="of Socket.IO",
    ),
    click.option(
        "--engine-io",
        type=click.Choice(["4", "3"]),
        default="4",
        show_default=True,
        help="3: as clients of Socket.IO 2",
    ),
    click.option("--namespace", default="/", show_default=True, help="of Socket.IO"),
    click.option("--auth", metavar="JSON", help="sent when the namespace is joined"),
    click.option("-H", "--header", "headers", metavar="'NAME: VALUE'", multiple=True, help="may be repeated"),
    click.option(
        "--patience",
        type=FiniteRange(0.1, 600),
        default=10.0,
        show_default=True,
        help="seconds for which anything is waited for",
    ),
    click.option(
        "--allow-remote",
        metavar="HOST",
        multiple=True,
        help="a host that is not this machine, and is yours",
    ),
    click.option("--require", "required", metavar="'success>=95%'", multiple=True, help="may be repeated"),
    click.option("--plot", metavar="FILE", type=click.Path(), help="a .png or .svg of how it went over time"),
)
_OF_THE_TARGET = (
    "protocol",
    "transport",
    "engine_io",
    "namespace",
    "auth",
    "headers",
    "patience",
    "allow_remote",
)


def load_options(function: _Function) -> _Function:
    """Gives a command its URL, and the options that say how that is spoken to and what is required."""
    for option in reversed(_OPTIONS):
        function = option(function)
    return function


def target_options(given: dict[str, Any]) -> Options:
    """Takes out of ``given`` what is about the target."""
    from .._load.target import Options

    taken = {name: given.pop(name) for name in _OF_THE_TARGET}
    return Options(**{**taken, "engine_io": int(taken["engine_io"])})
