"""eventlet's names: what becomes of each on threads.

Sources: eventlet's documentation of its modules, and the standard library's of ``threading`` and ``queue``.
"""

from __future__ import annotations

#: Names whose place another name takes, with the module it is in.
REPLACED = {
    "eventlet.semaphore.Semaphore": ("threading", "Semaphore"),
    "eventlet.semaphore.BoundedSemaphore": ("threading", "BoundedSemaphore"),
    "eventlet.Semaphore": ("threading", "Semaphore"),
    "eventlet.lock.Lock": ("threading", "Lock"),
    "eventlet.queue.Queue": ("queue", "Queue"),
    "eventlet.queue.LightQueue": ("queue", "Queue"),
    "eventlet.queue.LifoQueue": ("queue", "LifoQueue"),
    "eventlet.queue.PriorityQueue": ("queue", "PriorityQueue"),
    "eventlet.queue.Empty": ("queue", "Empty"),
    "eventlet.queue.Full": ("queue", "Full"),
    "eventlet.Queue": ("queue", "Queue"),
}

SLEEPS = {"eventlet.sleep", "eventlet.greenthread.sleep"}
SPAWNS = {
    "eventlet.spawn", "eventlet.spawn_n", "eventlet.greenthread.spawn", "eventlet.greenthread.spawn_n",
}  # fmt: skip
TIMERS = {
    "eventlet.spawn_after", "eventlet.spawn_after_local",
    "eventlet.greenthread.spawn_after", "eventlet.greenthread.spawn_after_local",
}  # fmt: skip
PATCHES = {"eventlet.monkey_patch", "eventlet.patcher.monkey_patch"}

#: Modules of ``eventlet.green`` that stand for one of the standard library.
GREEN = {
    "asynchat", "asyncore", "ftplib", "os", "select", "selectors", "smtplib", "socket", "socketserver", "ssl",
    "subprocess", "thread", "threading", "time", "queue", "http", "http.client", "urllib", "urllib.request",
    "urllib.parse", "urllib.error", "urllib.response",
}  # fmt: skip
RENAMED = {"thread": "_thread", "Queue": "queue", "SocketServer": "socketserver", "httplib": "http.client"}

#: What to do about names that have no counterpart, by their beginning; the longest one counts.
BLOCKERS = {
    "eventlet": "has no counterpart among threads",
    "eventlet.GreenPool": "concurrent.futures.ThreadPoolExecutor, with as many workers as may run at a time",
    "eventlet.GreenPile": "concurrent.futures.ThreadPoolExecutor.map",
    "eventlet.greenpool": "concurrent.futures.ThreadPoolExecutor, with as many workers as may run at a time",
    "eventlet.pools": "queue.Queue of the things that are shared",
    "eventlet.tpool": "call the function itself: in a thread it blocks nobody else",
    "eventlet.corolocal": "threading.local()",
    "eventlet.wsgi": "gunicorn or `hangup serve`",
    "eventlet.listen": "gunicorn or `hangup serve`",
    "eventlet.serve": "a server of its own: socketserver.ThreadingTCPServer",
    "eventlet.connect": "socket.create_connection",
    "eventlet.websocket": "hangup.WebSocket(environ)",
    "eventlet.event": "threading.Event, or concurrent.futures.Future for a value",
    "eventlet.Event": "threading.Event, or concurrent.futures.Future for a value",
    "eventlet.Timeout": "timeouts of the calls themselves: a thread cannot be interrupted",
    "eventlet.timeout": "timeouts of the calls themselves: a thread cannot be interrupted",
    "eventlet.with_timeout": "timeouts of the calls themselves: a thread cannot be interrupted",
    "eventlet.kill": "a threading.Event that the thread looks at: it cannot be killed",
    "eventlet.greenthread": "threading.Thread: it can be joined, and has no result and no kill()",
    "eventlet.getcurrent": "threading.current_thread()",
    "eventlet.hubs": "nothing: there is no hub",
    "eventlet.patcher": "nothing is patched any more: use the module itself",
    "eventlet.import_patched": "nothing is patched any more: import the module itself",
    "eventlet.green": "the package that it wraps, if that knows threads",
    "eventlet.db_pool": "the pool of the database's driver",
    "eventlet.backdoor": "nothing; `hangup top` looks into a running worker",
    "eventlet.spawn": "threading.Thread: it can be joined, and has no result and no kill()",
    "eventlet.semaphore.CappedSemaphore": "threading.Condition",
}  # fmt: skip


def advice(name: str) -> str:
    """What to do about a name that has no counterpart."""
    parts = name.split(".")
    known = (".".join(parts[:end]) for end in range(len(parts), 0, -1))
    return next(BLOCKERS[one] for one in known if one in BLOCKERS)
