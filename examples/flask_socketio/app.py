"""A chat: what one client says, every client hears."""

from __future__ import annotations

import hangup
from flask import Flask
from flask_socketio import SocketIO

app = Flask(__name__)
socketio = SocketIO(app, async_mode="threading")


@socketio.on("say")
def say(text: str) -> dict[str, int]:
    """Broadcasts, and acknowledges with what became of it: a client that left is a number, not a traceback."""
    result = hangup.safe_emit("said", text, server=socketio)
    return {"queued": result.queued, "gone": result.gone}


@app.get("/hangup")
def counted() -> dict[str, object]:
    """What is guarded, and what was counted."""
    return {"status": hangup.status(), "stats": hangup.stats()}
