"""A Flask-SocketIO service that uses what there is to use, in the words of its own source."""

APP = """
import os
import flask_socketio
from flask import Flask, request, session
from flask_socketio import (
    ConnectionRefusedError, Namespace, SocketIO, close_room, disconnect, emit, join_room, leave_room, rooms, send,
)

app = Flask(__name__)
app.config["SECRET_KEY"] = "a test's"
server = SocketIO(
    app, async_mode=os.environ["MODE"], cors_allowed_origins="*",
    manage_session=os.environ.get("MANAGE_SESSION") != "no", ping_interval=float(os.environ.get("INTERVAL", 25)),
    ping_timeout=float(os.environ.get("TIMEOUT", 20)),
)
if "ADMIN" in os.environ:
    server.server.instrument(auth=False, mode=os.environ["ADMIN"], server_stats_interval=1)
journal = []

@app.get("/login")
def login():
    session["user"] = "Ada"
    return "welcome"

@app.get("/call/<sid>")
def call_from_a_request(sid):
    return {"answer": server.call("question", "from a request", to=sid, timeout=10)}

@app.get("/emit/<room>")
def emit_from_a_request(room):
    server.emit("news", "from a request", to=room)
    return "sent"

@app.get("/disconnect/<sid>")
def disconnect_from_a_request(sid):
    disconnect(sid, namespace="/")
    return "gone"

@app.get("/journal")
def what_happened():
    return {"journal": journal}

@app.get("/")
def facts():
    import hangup
    return {
        "pid": os.getpid(), "websockets": hangup.stats()["websockets"], "fds": len(os.listdir("/proc/self/fd")),
        "sessions": sum(not one.closed for one in list(server.server.eio.sockets.values())),
        "status": hangup.status()["integrations"].get("socketio"),
    }

@server.on("connect")
def connect(auth):
    if auth == {"token": "wrong"}:
        raise ConnectionRefusedError("not you", {"hint": 7})
    if auth == {"token": "silent"}:
        return False
    emit("welcome", request.sid)

@server.on("disconnect")
def left(reason):
    journal.append(["disconnect", reason, session.get("count")])

@server.on("whoami")
def whoami():
    return session.get("user")

@server.on("count")
def count():
    session["count"] = session.get("count", 0) + 1
    with server.server.session(request.sid) as own:
        own["count"] = own.get("count", 0) + 1
    return session["count"], server.server.get_session(request.sid)["count"]

@server.on("message")
def message(data):
    send(data)

@server.on("json")
def json_message(data):
    send(data, json=True)

@server.on("enter")
def enter(room):
    join_room(room)
    return len(rooms())

@server.on("leave")
def leave(room):
    leave_room(room)
    return len(rooms())

@server.on("close")
def close(room):
    close_room(room)

@server.on("tell")
def tell(room, data):
    emit("told", data, to=room, include_self=False)

@server.on("ask")
def ask(question):
    return flask_socketio.call("question", question, timeout=10)

@server.on("ask and go on")
def ask_and_go_on(question):
    emit("question", question, callback=lambda answer: journal.append(["callback", answer]))

@server.on("dismiss")
def dismiss():
    disconnect()

@server.on("fail")
def fail(why):
    raise ValueError(why)

@server.on_error()
def on_error(error):
    journal.append(["on_error", str(error), request.event["message"]])
    return "sorry"

@server.on_error_default
def on_error_default(error):
    journal.append(["on_error_default", str(error)])
    return "sorry, too"

class Chat(Namespace):
    def on_connect(self, auth):
        if auth == "nobody":
            raise ConnectionRefusedError("members only")

    def on_disconnect(self, reason):
        journal.append(["chat", reason])

    def on_echo(self, data):
        emit("echo", data)
        return {"echoed": data}

    def on_fail(self):
        raise KeyError("chat")

server.on_namespace(Chat("/chat"))
"""
