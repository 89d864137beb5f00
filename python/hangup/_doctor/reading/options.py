"""The command line options of gunicorn 21 to 27, read as gunicorn does: with argparse, abbreviations and all."""

from __future__ import annotations

import argparse
from typing import Any, NoReturn

#: Setting, options. Those behind ``--`` alone are flags.
_WITH_VALUE = """
config -c --config|bind -b --bind|backlog --backlog|workers -w --workers|worker_class -k --worker-class
threads --threads|worker_connections --worker-connections|max_requests --max-requests
max_requests_jitter --max-requests-jitter|timeout -t --timeout|graceful_timeout --graceful-timeout
keepalive --keep-alive|limit_request_line --limit-request-line|limit_request_fields --limit-request-fields
limit_request_field_size --limit-request-field_size|reload_engine --reload-engine
reload_extra_files --reload-extra-file|chdir --chdir|raw_env -e --env|pidfile -p --pid
worker_tmp_dir --worker-tmp-dir|user -u --user|group -g --group|umask -m --umask
forwarded_allow_ips --forwarded-allow-ips|accesslog --access-logfile|access_log_format --access-logformat
errorlog --error-logfile --log-file|loglevel --log-level|logger_class --logger-class|logconfig --log-config
logconfig_json --log-config-json|syslog_addr --log-syslog-to|syslog_prefix --log-syslog-prefix
syslog_facility --log-syslog-facility|statsd_host --statsd-host|dogstatsd_tags --dogstatsd-tags
statsd_prefix --statsd-prefix|proc_name -n --name|pythonpath --pythonpath|paste --paste --paster
proxy_allow_ips --proxy-allow-from|protocol --protocol|uwsgi_allow_ips --uwsgi-allow-from|keyfile --keyfile
certfile --certfile|ssl_version --ssl-version|cert_reqs --cert-reqs|ca_certs --ca-certs|ciphers --ciphers
http_protocols --http-protocols|http2_cleartext --http2-cleartext
http2_max_concurrent_streams --http2-max-concurrent-streams
http2_initial_window_size --http2-initial-window-size|http2_max_frame_size --http2-max-frame-size
http2_max_header_list_size --http2-max-header-list-size|raw_paste_global_conf --paste-global
forwarder_headers --forwarder-headers|header_map --header-map|asgi_loop --asgi-loop
asgi_lifespan --asgi-lifespan|asgi_disconnect_grace_period --asgi-disconnect-grace-period
websocket_max_message_size --websocket-max-message-size|http_parser --http-parser|root_path --root-path
dirty_apps --dirty-app|dirty_workers --dirty-workers|dirty_timeout --dirty-timeout
dirty_threads --dirty-threads|dirty_graceful_timeout --dirty-graceful-timeout
control_socket --control-socket|control_socket_mode --control-socket-mode
"""
_FLAGS = """
reload --reload|spew --spew|check_config --check-config|print_config --print-config|preload_app --preload
no_sendfile --no-sendfile|reuse_port --reuse-port|daemon -D --daemon|initgroups --initgroups
disable_redirect_access_to_syslog --disable-redirect-access-to-syslog|capture_output --capture-output
syslog --log-syslog|enable_stdio_inheritance -R --enable-stdio-inheritance
enable_backlog_metric --enable-backlog-metric|proxy_protocol --proxy-protocol
suppress_ragged_eofs --suppress-ragged-eofs|do_handshake_on_connect --do-handshake-on-connect
permit_obsolete_folding --permit-obsolete-folding|strip_header_spaces --strip-header-spaces
permit_unconventional_http_method --permit-unconventional-http-method
permit_unconventional_http_version --permit-unconventional-http-version
casefold_http_method --casefold-http-method|control_socket_disable --no-control-socket
"""
_REPEATED = ("bind", "raw_env", "reload_extra_files")
NUMBERS = frozenset(
    {"backlog", "workers", "threads", "worker_connections", "max_requests", "max_requests_jitter"}
    | {"timeout", "graceful_timeout", "keepalive"}
)


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise ValueError(message)


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(add_help=False)
    for table, how in ((_WITH_VALUE, {}), (_FLAGS, {"action": "store_const", "const": True})):
        for entry in table.replace("\n", "|").strip("|").split("|"):
            name, *options = entry.split()
            more: dict[str, Any] = {"action": "append"} if name in _REPEATED else how
            if name == "proxy_protocol":  # a flag until 24, since then with a value that may be left out
                more = {"nargs": "?", "const": True}
            parser.add_argument(*options, dest=name, default=argparse.SUPPRESS, **more)
    parser.add_argument("-h", "--help", "-v", "--version", action="store_true", default=argparse.SUPPRESS)
    parser.add_argument("application", nargs="*", default=[])
    return parser


def read_options(words: list[str]) -> dict[str, Any]:
    """What a command line sets, as text or True; ``application`` is a list.

    Raises:
        ValueError: gunicorn would not take it.
    """
    found, unknown = _parser().parse_known_args(words)
    result = dict(vars(found))
    if unknown:
        result["unknown"] = unknown
    return result
