"""What nginx, and others in front, say about the server behind them."""

from __future__ import annotations

from ..failure import Blame, Failure, Help, Sign

_CALL = r"\d+#\d+: .*(?:recv|readv|send|writev|sendfile)\(\) failed \((?:104|32): [^)]*\)"

FAILURES = (
    Failure(
        code="HUP004",
        title="upstream prematurely closed connection while reading response header from upstream",
        blame=Blame.CONFIGURATION,
        why="The proxy sent a request on a kept connection at the moment when the server closed it, or the "
        "worker died in the middle of the request. Only the first is a matter of timing: gunicorn closes "
        "idle connections after `keepalive` seconds, 2 by default, and load balancers keep theirs for 60.",
        do="Let the server wait longer than the proxy: `--keep-alive 75` behind a load balancer of 60 "
        "seconds; in nginx, `keepalive_timeout` of the upstream below it. If worker deaths stand beside it "
        "in gunicorn's log, look there.",
        avoid="Do not let the proxy repeat POST requests.",
        versions="gunicorn behind nginx, ALB, HAProxy: all versions",
        help=Help.REPORTS,
        helped="it compares both times",
        source="benoitc/gunicorn#2288; nginx, `ngx_http_upstream_process_header`",
        signs=(
            Sign(
                line=r"upstream prematurely closed connection",
                needle="upstream prematurely closed connection",
            ),
        ),
    ),
    Failure(
        code="HUP038",
        title="upstream timed out (110: Connection timed out) while reading response header from upstream",
        blame=Blame.YOURS,
        why="The server took longer than `proxy_read_timeout`, 60 seconds, to send anything; on a "
        "WebSocket: nothing was said for as long, in either direction. The client sees 504, or its "
        "WebSocket end.",
        do="For requests: find the slow view, or the worker without a free thread. For WebSockets: pings "
        "more often than `proxy_read_timeout` (Socket.IO's `ping_interval` plus `ping_timeout`), or a "
        "longer one in that location.",
        avoid="Do not raise the timeout for the whole site.",
        versions="nginx, all versions",
        help=Help.REPORTS,
        helped="it compares the times",
        source="nginx, `ngx_http_upstream`",
        signs=(
            Sign(line=r"upstream timed out \(110:", needle="upstream timed out (110:"),
            Sign(line=r"\" 504 (?:\d+|-)", needle='" 504 '),
        ),
    ),
    Failure(
        code="HUP039",
        title="connect() failed (111: Connection refused) while connecting to upstream",
        blame=Blame.CONFIGURATION,
        why="Nobody listens where nginx was told to go: the service is down, starting, or bound to another "
        "address. With a Unix socket it is 2 (no such file), 13 (no permission) or 11 (the backlog is "
        "full).",
        do="`systemctl status` of the service, `ss -ltnp` for its address. During deploys: keep the "
        "listener open, by socket activation or a reload instead of a restart. For 11: more threads, or a "
        "larger `backlog` and somaxconn.",
        avoid="Do not point nginx at `localhost` if the server listens on 127.0.0.1 alone: it tries ::1 too.",
        versions="nginx, all versions",
        help=Help.NOTHING,
        helped="",
        source="nginx, `ngx_http_upstream_connect`",
        signs=(
            Sign(line=r"connect\(\) .*failed \((?:111|11|2|13): ", needle="connect() "),
            Sign(line=r"no live upstreams while connecting", needle="no live upstreams"),
        ),
    ),
    Failure(
        code="HUP040",
        title="recv() failed (104: Connection reset by peer) while reading response header from upstream",
        blame=Blame.SERVER,
        why="The server ended the connection by a reset: its worker was killed, or it closed with bytes of "
        "the request unread, as after an error in the middle of an upload.",
        do="Look in the server's log at the same second: WORKER TIMEOUT, SIGKILL, a traceback. For "
        "uploads: read the body, or set a limit in nginx (`client_max_body_size`).",
        avoid="Do not turn on `proxy_next_upstream` for requests that change something.",
        versions="nginx, all versions",
        help=Help.NOTHING,
        helped="",
        source="nginx, `ngx_unix_recv`",
        signs=(
            Sign(
                line=rf"{_CALL} while \S+ \S+(?: \S+){{0,3}} upstream",
                needle=" upstream",
            ),
        ),
    ),
    Failure(
        code="HUP041",
        title='" 499 (nginx: the client closed its request)',
        blame=Blame.CLIENT,
        why="The client left before its answer. A few are people. Many on one path are a slow view, or a "
        "client whose timeout is shorter than the answer takes.",
        do="Nothing for a few. Else compare the request times of the path with the client's timeout.",
        avoid="Do not set `proxy_ignore_client_abort on`: the server would work for nobody.",
        versions="nginx, all versions; hangup's middleware for Django and Flask writes the same status",
        help=Help.COUNTS,
        helped="as departures, by endpoint",
        source="nginx, `NGX_HTTP_CLIENT_CLOSED_REQUEST`",
        signs=(
            Sign(line=r"\" 499 (?:\d+|-)", needle='" 499 '),
            Sign(
                line=r"\d+#\d+: .*client prematurely closed connection",
                needle="client prematurely closed connection",
            ),
            Sign(
                line=rf"{_CALL} while (?:sending (?:response )?to client|reading client)",
                needle=" client",
            ),
            Sign(line=r"\d+#\d+: .*client timed out \(110:", needle="client timed out (110:"),
        ),
        harmless=True,
    ),
    Failure(
        code="HUP042",
        title='" 502 (Bad Gateway)',
        blame=Blame.PROXY,
        why="The proxy got no answer that it could use. Its error log has the reason at the same second: "
        "HUP004, HUP039 or HUP040.",
        do="`hangup logs` the proxy's error log.",
        avoid="Do not look in the application first: it has not seen the request, or died of it.",
        versions="every proxy",
        help=Help.NOTHING,
        helped="",
        source="RFC 9110, 15.6.3",
        signs=(Sign(line=r"\" 502 (?:\d+|-)", needle='" 502 '),),
    ),
    Failure(
        code="HUP043",
        title="512 worker_connections are not enough",
        blame=Blame.PROXY,
        why="nginx has no connection left. A proxied WebSocket takes two, for as long as it lives.",
        do="In nginx's `events`: `worker_connections 16384;` and `worker_rlimit_nofile` twice as large.",
        avoid="Do not look for the limit in gunicorn: its setting has the same name.",
        versions="nginx, all versions; the default is 512, 768 in Debian",
        help=Help.REPORTS,
        helped="it reads nginx's configuration",
        source="nginx, `ngx_get_connection`",
        signs=(
            Sign(line=r"\d+ worker_connections are not enough", needle="worker_connections are not enough"),
        ),
    ),
    Failure(
        code="HUP044",
        title="WebSocket connection failed: Error during WebSocket handshake: Unexpected response code: 400",
        blame=Blame.PROXY,
        why="The proxy did not pass the upgrade on: `Upgrade` and `Connection` are headers of one hop, and "
        "nginx speaks HTTP/1.0 to servers unless told otherwise.",
        do="In the location: `proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade; "
        "proxy_set_header Connection $connection_upgrade;`. `hangup init nginx` writes it.",
        avoid="Do not set `Connection: upgrade` for all requests: keep-alive to the server is off then.",
        versions="nginx and others",
        help=Help.REPORTS,
        helped="it looks for the headers",
        source="nginx, WebSocket proxying",
        logged=False,
        signs=(
            Sign(
                line=r"Error during WebSocket handshake: Unexpected response code: (?:400|426|404|502)",
                needle="Error during WebSocket handshake",
            ),
        ),
    ),
)
