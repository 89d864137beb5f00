"""At which ports this process listens."""

from __future__ import annotations

from . import _hangup

#: Those that were ever found. To ask for them takes a census, so they are asked for when a port is not among them.
_ports: set[int] = set()


def listens_at(port: int) -> bool:
    """Whether somebody here accepts, or accepted, clients at it."""
    if port not in _ports:
        census = _hangup.Census()
        _ports.update(census.row(place)[4][1] for place in census.in_state("listen"))  # type: ignore[index]
    return port in _ports
