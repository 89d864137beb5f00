"""An order board: whoever places an order or moves one, every browser sees it at once, and its owner is told.

Orders come by HTTP and are sent on by Socket.IO: to everybody, and to a room for each user, who may have several tabs.
A token (JWT) names the user to both: in a header, and in Socket.IO's first packet, so that no log has it.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
import time
from pathlib import Path

import flask_socketio
import hangup.flask
import jwt
from flask import Flask, abort, request, send_from_directory
from flask_socketio import SocketIO, emit, join_room

HERE = Path(__file__).resolve().parent
SECRET = os.environ.get("SECRET_KEY", "for development only: set SECRET_KEY")
STATUSES = ["placed", "preparing", "ready", "collected"]

app = Flask(__name__)
hangup.flask.Hangup(app)  # 499 for requests whose client left; `flask hangup doctor`
# With several workers: SocketIO(app, message_queue="redis://"), and users in a store that they share.
socketio = SocketIO(app, async_mode="threading")
users: dict[str, str] = {}
telling = threading.Lock()


# -- who -----------------------------------------------------------------------------------------------------
@app.post("/sign-in")
def sign_in():
    """A token for a name. A real application asks for a password."""
    name = str(request.get_json().get("name", "")).strip()
    if not 0 < len(name) <= 20:
        abort(400, "a name of 1 to 20 characters")
    return {
        "token": jwt.encode({"sub": name, "exp": int(time.time()) + 24 * 3600}, SECRET, "HS256"),
        "name": name,
    }


def user_of(token: str | None) -> str | None:
    """Whose token it is."""
    with contextlib.suppress(jwt.InvalidTokenError):
        return jwt.decode(token or "", SECRET, ["HS256"])["sub"]
    return None


def signed_in() -> str:
    """Who sent the request."""
    return user_of(request.headers.get("Authorization", "").removeprefix("Bearer ")) or abort(401)


# -- orders, by HTTP -----------------------------------------------------------------------------------------
def query(sql: str, *values: object) -> list[dict]:
    """Rows, from a file that the next worker finds as well."""
    with contextlib.closing(sqlite3.connect(HERE / "orders.db")) as connection, connection:
        connection.row_factory = sqlite3.Row
        return [dict(row) for row in connection.execute(sql, values)]


query("CREATE TABLE IF NOT EXISTS orders (id INTEGER PRIMARY KEY, item TEXT, owner TEXT, status TEXT)")


@app.post("/orders")
def place():
    """A new order, and how many browsers were sent it: one that has just left is a number, not an exception."""
    owner, item = signed_in(), str(request.get_json().get("item", "")).strip()
    if not 0 < len(item) <= 60:
        abort(400, "an item of 1 to 60 characters")
    [order] = query(
        "INSERT INTO orders (item, owner, status) VALUES (?, ?, 'placed') RETURNING *", item, owner
    )
    told = hangup.safe_emit("order", order, server=socketio)
    return {"order": order, "told": told.sent + told.queued, "gone": told.gone}, 201


@app.post("/orders/<int:number>/status")
def move(number: int):
    """One step further; 409 if somebody else was quicker."""
    signed_in()
    status = request.get_json().get("status")
    if status not in STATUSES[1:]:
        abort(400, f"one of {', '.join(STATUSES[1:])}")
    before = STATUSES[STATUSES.index(status) - 1]
    moved = query(
        "UPDATE orders SET status = ? WHERE id = ? AND status = ? RETURNING *", status, number, before
    )
    if not moved:
        abort(409, f"is not {before}")
    [order] = moved
    hangup.safe_emit("order", order, server=socketio)
    if status == "ready":
        hangup.safe_emit("notice", f"{order['item']} is ready", to=room_of(order["owner"]), server=socketio)
    return {"order": order}


# -- browsers, by Socket.IO ----------------------------------------------------------------------------------
def room_of(name: str) -> str:
    return f"user {name}"


def tell_who_is_here() -> None:
    with telling:  # or of two lists, the older one might come last
        hangup.safe_emit("here", sorted(set(users.values())), server=socketio)


@socketio.on("connect")
def connect(auth):
    """Refuses who has no token; the others get what is on the board."""
    name = user_of((auth or {}).get("token"))
    if name is None:
        raise flask_socketio.ConnectionRefusedError("sign in")
    users[request.sid] = name
    join_room(room_of(name))
    emit("orders", query("SELECT * FROM orders WHERE status != 'collected' ORDER BY id"))
    tell_who_is_here()


@socketio.on("disconnect")
def disconnect(_reason):
    """Runs once for each browser that was connected, however it went: closed, crashed, unplugged."""
    users.pop(request.sid, None)
    tell_who_is_here()


# -- pages ---------------------------------------------------------------------------------------------------
@app.get("/")
def page():
    """The board."""
    return app.send_static_file("index.html")


@app.get("/socket.io.js")
def client():
    """Socket.IO's own client, from ``npm install socket.io-client``."""
    return send_from_directory(HERE / "node_modules" / "socket.io-client" / "dist", "socket.io.min.js")


@app.get("/hangup")
def counted():
    """Who is here, what is guarded, and what was counted."""
    members = sum(1 for _ in socketio.server.manager.get_participants("/", None))
    return {
        "pid": os.getpid(),
        "here": sorted(users.values()),
        "members": members,
        "status": hangup.status(),
        "stats": hangup.stats(),
    }
