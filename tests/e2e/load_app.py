"""The service of the load tests, in the words of its own source: plain WebSockets at ``/echo``, Socket.IO beside them.

It counts for itself what clients did; ``/`` tells.
"""

APP = """
import json, os, threading, time
import hangup, socketio

counts = dict.fromkeys(("connects", "closes", "received", "sent", "sio_connects", "sio_closes", "sio_received"), 0)
server = socketio.Server(async_mode="threading")
here, begins = [], threading.Lock()

@server.event
def connect(sid, environ, auth=None):
    counts["sio_connects"] += 1

@server.event
def disconnect(sid, *reason):
    counts["sio_closes"] += 1

@server.event
def echo(sid, data):
    counts["sio_received"] += 1
    server.emit("echo", data, to=sid)
    return data

@server.event
def broadcast(sid, data):
    server.emit("news", data)

def echo_all():
    # One thread for ten thousand of them.
    while True:
        for ws in list(here):
            try:
                while (data := ws.receive(timeout=0)) is not None:
                    counts["received"] += 1
                    ws.send(data)
                    counts["sent"] += 1
            except hangup.HangupError:
                here.remove(ws)
                counts["closes"] += 1
        time.sleep(0.002)

def others(environ, start_response):
    path = environ["PATH_INFO"]
    if path == "/forbidden":
        start_response("403 Forbidden", [("Content-Length", "10")])
        return [b"not \\x1b[31m!"]
    if path == "/large":
        start_response("200 OK", [("Content-Length", "1000000")])
        return [b"x" * 1_000_000]
    if path == "/wrong":
        start_response("101 Switching Protocols", [("Upgrade", "websocket"), ("Sec-WebSocket-Accept", "no")])
        return []
    if environ.get("HTTP_UPGRADE") != "websocket":
        said = {**counts, "pid": os.getpid(), "here": len(here)}
        body = json.dumps(said).encode()
        start_response("200 OK", [("Content-Length", str(len(body)))])
        return [body]
    try:
        ws = hangup.WebSocket(environ)
    except OSError:  # the client has left
        start_response("400 Bad Request", [("Content-Length", "0")])
        return []
    with begins:
        if not counts["connects"]:
            threading.Thread(target=echo_all, daemon=True).start()
        counts["connects"] += 1
        here.append(ws)
    start_response("101 Switching Protocols", [])
    return ()

app = socketio.WSGIApp(server, others)
"""
