"""A Flask-SocketIO application that serves itself with ``socketio.run()``, in the words of its own source."""

APP = """
import gc, logging, os, socket, sys
if os.environ.get("WITHOUT"):
    sys.modules[os.environ["WITHOUT"]] = None  # as if it were not installed
from flask import Flask, request
from flask_socketio import SocketIO, emit
import hangup
hangup.install()
logging.basicConfig()
logging.getLogger("hangup").setLevel(logging.DEBUG)

app = Flask(__name__)
server = SocketIO(app, async_mode=os.environ["MODE"], cors_allowed_origins="*")
counts = {"connected": 0, "disconnected": 0}

@server.on("connect")
def connect():
    counts["connected"] += 1

@server.on("disconnect")
def disconnect(reason):
    counts["disconnected"] += 1

@server.on("echo")
def echo(data):
    return data

@server.on("tell")
def tell(data):
    emit("told", data, broadcast=True)

@server.on("ask")
def ask(question):
    return server.call("question", question, to=request.sid, timeout=10)

@app.get("/")
def facts():
    gc.collect()  # werkzeug leaves a selector of each request to it
    return {
        **counts, "pid": os.getpid(), "fds": len(os.listdir("/proc/self/fd")),
        "websockets": hangup.stats()["websockets"], "status": hangup.status()["integrations"].get("socketio"),
        "sessions": sum(not one.closed for one in list(server.server.eio.sockets.values())),
    }

def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]

if __name__ == "__main__":
    port = free_port()
    print("port", port, flush=True)
    if os.environ.get("SERVER") == "pywsgi":
        from gevent.pywsgi import WSGIServer
        WSGIServer(("127.0.0.1", port), app, log=None).serve_forever()
    else:
        options = {"allow_unsafe_werkzeug": True} if os.environ["MODE"] == "threading" else {}
        server.run(app, host="127.0.0.1", port=port, **options)
"""
