"""The services that the test suites of socket.io-protocol and engine.io-protocol expect, in one application."""

APP = """
import json, os, sys
if os.environ.get("HIDDEN"):
    sys.modules[os.environ["HIDDEN"]] = None  # as if it were not installed
import socketio

OPTIONS = dict(async_mode=os.environ["MODE"], cors_allowed_origins="*", ping_interval=0.3, ping_timeout=0.2)
NAMESPACES = ("/", "/custom")

server = socketio.Server(always_connect=True, namespaces=list(NAMESPACES), **OPTIONS)

def greet(namespace):
    def connect(sid, environ, auth):
        server.emit("auth", auth or {}, to=sid, namespace=namespace)
    server.on("connect", connect, namespace=namespace)

for namespace in NAMESPACES:
    greet(namespace)

@server.on("message")
def message(sid, *data):
    server.emit("message-back", data, to=sid)

@server.on("message-with-ack")
def message_with_ack(sid, *data):
    return data

# Engine.IO without Socket.IO: the handlers of this server's Engine.IO server are replaced.
bare = socketio.Server(**OPTIONS)
bare.eio.on("connect", lambda sid, environ: None)
bare.eio.on("message", lambda sid, data: bare.eio.send(sid, data))
bare.eio.on("disconnect", lambda sid, *reason: None)

def facts(environ, start_response):
    import engineio
    import hangup
    said = {
        "pid": os.getpid(), "engineio": engineio.__file__, **hangup.stats(),
        "sessions": len(list(server.eio.sockets)) + len(list(bare.eio.sockets)),
    }
    body = json.dumps(said).encode()
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]

app = socketio.WSGIApp(server, socketio.WSGIApp(bare, facts, socketio_path="engine.io"))
"""
