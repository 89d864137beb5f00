"""A flask-sock echo."""

from __future__ import annotations

from typing import Any

from flask import Flask
from flask_sock import Sock

app = Flask(__name__)


def echo(ws: Any) -> None:
    """Send back every message until the client leaves."""
    while True:
        ws.send(ws.receive())


Sock(app).route("/echo")(echo)
