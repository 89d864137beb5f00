"""Quotes to everybody who watches a symbol, orders by Socket.IO, positions by HTTP."""

import contextlib
import logging
import os
import sqlite3
import threading

import quotes
import raw_feed
from flask import Flask, jsonify
from flask_socketio import SocketIO, emit, join_room, leave_room

app = Flask(__name__)
socketio = SocketIO(
    app,
    async_mode="threading",
    cors_allowed_origins="*",
    ping_interval=int(os.environ.get("PING_INTERVAL", "25")),
    ping_timeout=int(os.environ.get("PING_TIMEOUT", "20")),
)
log = logging.getLogger(__name__)
ledger = os.environ.get("LEDGER", "ledger.db")


def start_background_tasks():
    """gunicorn's worker calls this once it has forked."""
    threading.Thread(target=quotes.tick_forever, args=(publish,), daemon=True).start()
    raw_feed.start(os.environ.get("HOST", "0.0.0.0"), int(os.environ.get("FEED_PORT", "8765")))


def publish(symbol, price):
    """A new price, to those who watch the symbol."""
    socketio.emit("quote", {"symbol": symbol, "price": price}, room=symbol)
    raw_feed.publish(symbol, price)


@socketio.on("connect")
def on_connect():
    emit("symbols", sorted(quotes.prices))


@socketio.on("watch")
def on_watch(symbol):
    join_room(symbol)
    emit("quote", {"symbol": symbol, "price": quotes.prices[symbol]})


@socketio.on("unwatch")
def on_unwatch(symbol):
    leave_room(symbol)


@socketio.on("order")
def on_order(order):
    price = quotes.prices[order["symbol"]]
    return {"filled": order["quantity"], "price": price}


@app.get("/health")
def health():
    return jsonify(status="ok")


@app.get("/positions/<account>")
def positions(account):
    with contextlib.closing(sqlite3.connect(ledger)) as database:
        rows = database.execute("select symbol, quantity from positions where account = ?", (account,))
        return jsonify(rows.fetchall())
