"""Which module a file of a traceback is, and whether it is the user's.

Promised: what is not known to be a library's is the user's. A folder that is only named as a library is not one.

How: by ``site-packages`` and its kin, by the standard library's folder, and, for libraries that were unpacked elsewhere
(``pip install --target``), by a few of their files.
"""

from __future__ import annotations

import functools
import re

_INSTALLED = re.compile(r"(?:^|/)(?:site|dist)-packages/(?:[^/]+\.egg/)?(.+)$")
_STANDARD = re.compile(
    r"(?:^|/)(?:lib(?:32|64)?/(?:python|pypy)\d[\w.]*|python3\d+\.zip"
    r"|(?:Python[\d.-]*|[\w-]*conda\d*|envs/[^/]+|Programs/Python/[^/]+)/Lib)/(.+)$"
)
_FROZEN = re.compile(r"^<frozen ([\w.]+)>$")
#: Compiled modules print the path at which they were built.
_BUILT = re.compile(r"^(?:src/(gevent/[\w/]+)\.\w+|([\w/]+)\.(?:pyx|pxi|pxd))$")
_UNPACKED = re.compile(
    r"(?:^|/)((?:"
    r"gunicorn/(?:workers|http|http2|asgi|util|arbiter|sock)"
    r"|engineio/(?:async_drivers|base_server|base_socket|async_server|async_socket|server|socket)"
    r"|flask_socketio/(?:namespace|__init__)"
    r"|daphne/(?:server|http_protocol|ws_protocol|endpoints)"
    r"|autobahn/(?:websocket|twisted|asyncio|exception)"
    r"|twisted/(?:internet|protocols|python|web)"
    r"|uvicorn/(?:protocols|middleware)"
    r")(?:/.+|\.py))$"
)


@functools.lru_cache(maxsize=8192)
def module_of(path: str) -> str:
    """The dotted name of a library's module, or "" for the user's own file.

    Args:
        path: as a traceback prints it, also one of Windows.
    """
    path = path.replace("\\", "/")
    if frozen := _FROZEN.match(path):
        return frozen[1]
    found = _INSTALLED.search(path) or _STANDARD.search(path) or _UNPACKED.search(path)
    if found:
        return _dotted(found[1])
    built = _BUILT.match(path)
    return _dotted(built[1] or built[2]) if built else ""


def _dotted(path: str) -> str:
    stem = path.rpartition(".")[0] or path
    name = stem.replace("/", ".")
    return name[: -len(".__init__")] if name.endswith(".__init__") else name
