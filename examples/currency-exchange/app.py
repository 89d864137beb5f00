"""Exchange rates as they change, and conversions."""

import os
import random
import threading
import time
from pathlib import Path

from flask import Flask, jsonify, request, send_from_directory
from flask_socketio import SocketIO, emit, join_room

HERE = Path(__file__).parent

app = Flask(__name__)
socketio = SocketIO(
    app,
    async_mode="threading",
    ping_interval=int(os.environ.get("PING_INTERVAL", "25")),
    ping_timeout=int(os.environ.get("PING_TIMEOUT", "20")),
)
rates = {"EUR/USD": 1.0842, "GBP/USD": 1.2711, "USD/JPY": 151.32, "USD/CHF": 0.8874}


def follow_the_market():
    """In a thread of gunicorn's worker: twice a second one rate is another."""
    while True:
        time.sleep(0.5)
        pair = random.choice(list(rates))
        rates[pair] = round(rates[pair] * random.uniform(0.999, 1.001), 4)
        socketio.emit("rate", {"pair": pair, "rate": rates[pair]}, to="rates")


def start_background_tasks():
    threading.Thread(target=follow_the_market, daemon=True).start()


@socketio.on("subscribe")
def on_subscribe():
    join_room("rates")
    emit("rates", rates)
    return {"pairs": len(rates)}


@socketio.on("convert")
def on_convert(wanted):
    return {"amount": round(wanted["amount"] * rates[wanted["pair"]], 2)}


@app.get("/health")
def health():
    return jsonify(status="ok")


@app.get("/convert")
def convert():
    """For those without a WebSocket."""
    amount = float(request.args["amount"]) * rates[request.args.get("pair", "EUR/USD")]
    return jsonify(amount=round(amount, 2))


@app.get("/")
def page():
    return send_from_directory(HERE / "static", "index.html")


@app.get("/socket.io.js")
def client():
    """Socket.IO's own client, from ``npm install socket.io-client``."""
    return send_from_directory(HERE / "node_modules" / "socket.io-client" / "dist", "socket.io.min.js")
