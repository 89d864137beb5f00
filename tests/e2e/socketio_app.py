"""The Socket.IO service of the WebSocket tests, in the words of its own source; facts about it at ``/facts``."""

APP = """
import json, os, threading
import socketio
server = socketio.Server(
    async_mode=os.environ["MODE"],
    cors_allowed_origins=os.environ.get("ORIGINS", "*"),
    ping_interval=float(os.environ.get("INTERVAL", 25)),
    ping_timeout=float(os.environ.get("TIMEOUT", 20)),
    max_http_buffer_size=100_000,
)
counts = {"connected": 0, "disconnected": 0}
twice, here = [], set()

@server.event
def connect(sid, environ, auth=None):
    if auth == {"token": "wrong"}:
        raise socketio.exceptions.ConnectionRefusedError("who are you")
    here.add(sid)
    counts["connected"] += 1

@server.event
def disconnect(sid, *reason):
    if sid not in here:
        twice.append(sid)
    here.discard(sid)
    counts["disconnected"] += 1

@server.event
def echo(sid, data):
    server.emit("echo", data, to=sid)
    return data

@server.event
def ask(sid, question):
    server.emit("answered", server.call("question", question, to=sid, timeout=10), to=sid)

@server.event
def enter(sid, room):
    server.enter_room(sid, room)
    with server.session(sid) as session:
        session["room"] = room
    server.emit("entered", server.get_session(sid)["room"], to=room)

@server.event
def flood(sid, count):
    for number in range(count):
        server.emit("flood", str(number).ljust(1000), to=sid)

@server.event
def block(sid):
    released.wait()

@server.event
def release(sid):
    released.set()

@server.event
def fail(sid):
    raise RuntimeError("a handler's own bug")

released = threading.Event()

def name_of(task):
    try:
        with open(f"/proc/self/task/{task}/comm") as file:
            return file.read().strip()
    except (FileNotFoundError, ProcessLookupError):
        return ""  # it has ended since

def facts(environ, start_response):
    import hangup
    sockets = server.eio.sockets
    names = {name_of(task) for task in os.listdir("/proc/self/task")}
    # Until they are needed, the engine has not opened its three descriptors, nor a hub's dispatcher its own.
    to_come = 0 if "hangup-engine" in names else 3 if os.environ["MODE"] == "threading" else 4
    said = {
        **counts, "twice": len(twice), "pid": os.getpid(), "sessions": len(list(sockets)),
        "upgrading": sum(session.upgrading for session in list(sockets.values())),
        "threads": threading.active_count(), "tasks": len(os.listdir("/proc/self/task")),
        "fds": len(os.listdir("/proc/self/fd")) + to_come,
        "status": hangup.status()["integrations"].get("socketio"),
        "engineio": __import__("engineio").__file__, "websockets": hangup.stats()["websockets"],
    }
    body = json.dumps(said).encode()
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]

app = socketio.WSGIApp(server, facts)
"""
