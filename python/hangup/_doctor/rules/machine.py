"""HUP3xx: the limits of the machine."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Optional

from ..facts import Facts
from ..registry import ERROR, WARNING, rule
from ..service import Service

#: Descriptors of a worker that are not its clients': listeners, logs, pipes, databases.
RESERVE = 64


def needed(service: Service, facts: Facts) -> Optional[int]:
    """How many descriptors a worker may come to need: it accepts that many clients before it stops."""
    if not facts.gives_websockets(service) or service.worker not in (
        "gthread",
        "gevent",
        "geventwebsocket",
        "eventlet",
    ):
        return None
    connections = service.number("worker_connections")
    return None if connections is None else connections + RESERVE


@rule(
    "HUP301", "too-few-descriptors", ERROR,
    wrong="A worker accepts more clients than it may have descriptors (`RLIMIT_NOFILE`).",
    seen="\"OSError: [Errno 24] Too many open files\"; gthread's worker ends with all its clients, eventlet's never "
    "accepts again.",
    mend="`ulimit -n 65536` where it is started (systemd: `LimitNOFILE=65536`), or fewer `worker_connections`.",
    hangup="silent as long as the clients that are expected (--clients) fit: new ones wait in the backlog, "
    "nobody is dropped.",
    source="getrlimit(2); gunicorn#3339, #2994",
)  # fmt: skip
def descriptors(facts: Facts) -> Iterator[Any]:
    limit = facts.machine.open_files
    for service in facts.gunicorns:
        if limit is None or service.kind in ("systemd", "container", "hangup"):
            continue  # they have limits of their own
        wanted = needed(service, facts)
        if facts.is_native(service) is not False:
            wanted = wanted and facts.clients + RESERVE
        if wanted is not None and limit < wanted:
            whose = f"process {facts.machine.pid}" if facts.machine.pid else "this shell"
            yield service.where("worker_connections"), f"{wanted} may be needed, {whose} has {limit}", limit


@rule(
    "HUP302", "backlog-cut-short", WARNING,
    wrong="`backlog` is more than `net.core.somaxconn`: the kernel takes the smaller one.",
    seen="In a storm of reconnects clients wait seconds for their connection; `nstat` counts TcpExtListenOverflows.",
    mend="`sysctl -w net.core.somaxconn=4096`, and a file in /etc/sysctl.d; or a smaller `backlog`.",
    hangup="no difference.",
    source="listen(2)",
)  # fmt: skip
def backlog(facts: Facts) -> Iterator[Any]:
    limit = facts.machine.somaxconn
    for service in facts.gunicorns:
        number = service.number("backlog")
        if (
            limit is not None
            and number is not None
            and service.kind not in ("container", "environment")
            and limit < number
        ):
            yield service.where("backlog"), f"backlog is {number}, net.core.somaxconn {limit}", limit
