"""What is known of gunicorn's worker classes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:

    class Worker:
        """What the mixins find in gunicorn's class behind them."""

        cfg: Any
        log: Any
        sockets: list[Any]
        wsgi: Any
        server_class: Any
        method_queue: Any
        nr_conns: int
        worker_connections: int
        wait_fds: list[Any]
        nr: int
        max_requests: int

        def init_process(self) -> None: ...
        def load_wsgi(self) -> None: ...
        def run(self) -> None: ...
        def handle_exit(self, sig: int, frame: Any) -> None: ...
        def handle_quit(self, sig: int, frame: Any) -> None: ...
        def notify(self) -> None: ...
        def handle(self, *args: Any) -> None: ...
        def accept(self, *server_and_listener: Any) -> None: ...
        def enqueue_req(self, conn: Any) -> None: ...
        def set_accept_enabled(self, enabled: bool) -> None: ...

else:
    Worker = object
