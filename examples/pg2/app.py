"""A playground: everybody in a room sees what the others post, as they post it."""

import os
from pathlib import Path

from flask import Flask, jsonify, request, send_from_directory
from flask_socketio import SocketIO, emit, join_room

HERE = Path(__file__).parent

app = Flask(__name__)
socketio = SocketIO(
    app,
    async_mode="threading",
    message_queue=os.environ.get("REDIS_URL", "redis://127.0.0.1:6379/0"),
    transports=["websocket"],  # the requests of a client that polls would each come to another worker
)


@socketio.on("join")
def on_join(room):
    join_room(room)
    return {"worker": os.getpid()}


@socketio.on("post")
def on_post(post):
    emit("post", {"by": post["by"], "text": post["text"]}, to=post["room"])


@app.get("/health")
def health():
    return jsonify(status="ok")


@app.get("/average")
def average():
    """Of so many points, so many posts."""
    return jsonify(average=int(request.args["points"]) / int(request.args["posts"]))


@app.get("/")
def page():
    return send_from_directory(HERE / "static", "index.html")


@app.get("/socket.io.js")
def client():
    """Socket.IO's own client, from ``npm install socket.io-client``."""
    return send_from_directory(HERE / "node_modules" / "socket.io-client" / "dist", "socket.io.min.js")
