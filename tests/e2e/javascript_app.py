"""The service that JavaScript's clients talk to, in the words of its own source.

Connects, disconnects and what the service itself noticed stand in the file ``JOURNAL``, which outlives workers.
"""

APP = """
import json, os, threading
import socketio

HERE = os.environ["JS"]
server = socketio.Server(
    async_mode=os.environ["MODE"], cors_allowed_origins="*", max_http_buffer_size=3_000_000,
    ping_interval=float(os.environ.get("INTERVAL", 25)), namespaces=["/", "/chat"],
)
ticking = threading.Lock()
if "TICKING" not in os.environ:  # two threads that emit to one client may come between a packet and its attachments
    ticking.acquire()

def journal(*words):
    with open(os.environ["JOURNAL"], "a") as file:
        file.write(json.dumps([os.getpid(), *words]) + "\\n")

def tick():
    number = 0
    while True:
        server.sleep(0.05)
        number += 1
        server.emit("tick", number)

@server.event
def connect(sid, environ, auth=None):
    if auth and auth.get("token") == "wrong":
        raise socketio.exceptions.ConnectionRefusedError("who are you", {"try": ["again", 1]})
    if ticking.acquire(blocking=False):
        server.start_background_task(tick)
    journal("connect", sid)
    server.emit("here", {"pid": os.getpid(), "auth": auth}, to=sid)

@server.event
def disconnect(sid, *reason):
    journal("disconnect", sid, *reason)

@server.event
def echo(sid, *data):
    return data if len(data) != 1 else data[0]

@server.event
def say(sid, data):
    server.emit("said", data, to=sid)

@server.event
def ask(sid, question):
    def answered(*answer):
        journal("callback", sid, len(answer))
    server.emit("question", question, to=sid, callback=answered)
    return server.call("question", question, to=sid, timeout=10)

@server.event
def enter(sid, room):
    server.enter_room(sid, room)

@server.event
def leave(sid, room):
    server.leave_room(sid, room)

@server.event
def tell(sid, room, data):
    server.emit("told", data, room=room, skip_sid=sid)

@server.event
def close(sid, room):
    server.close_room(room)

@server.event
def dismiss(sid):
    server.disconnect(sid)

@server.on("connect", namespace="/chat")
def chat_connect(sid, environ, auth):
    server.save_session(sid, {"name": auth["name"]}, namespace="/chat")

@server.on("whoami", namespace="/chat")
def whoami(sid):
    return server.get_session(sid, namespace="/chat")["name"]

@server.on("shout", namespace="/chat")
def shout(sid, data):
    server.emit("shouted", data, namespace="/chat")

@server.on("disconnect", namespace="/chat")
def chat_disconnect(sid, *reason):
    journal("chat disconnect", sid, *reason)

def facts(environ, start_response):
    import hangup
    said = {
        "pid": os.getpid(), "fds": len(os.listdir("/proc/self/fd")),
        "sessions": sum(not session.closed for session in list(server.eio.sockets.values())),
        "status": hangup.status()["integrations"].get("socketio"), "websockets": hangup.stats()["websockets"],
        "engineio": __import__("engineio").__file__,
    }
    body = json.dumps(said).encode()
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]

app = socketio.WSGIApp(server, facts, static_files={
    "/page.html": HERE + "/page.html", "/conversation.js": HERE + "/conversation.js",
    "/socket.io.js": HERE + "/node_modules/socket.io-client/dist/socket.io.min.js",
})
"""
