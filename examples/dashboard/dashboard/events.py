"""Who is connected, in the rooms of their role, and what the rooms are told."""

from flask import request
from flask_socketio import SocketIO, emit, join_room

#: Each role sees what those behind it see.
ROLES = ("admin", "operator", "viewer")

socketio = SocketIO(async_mode="eventlet", cors_allowed_origins="*", ping_interval=25, ping_timeout=20)


def room_of(role):
    return f"role:{role}"


@socketio.on("connect")
def on_connect(auth=None):
    role = (auth or {}).get("role") or request.args.get("role")
    if role not in ROLES:
        return False
    for seen in ROLES[ROLES.index(role) :]:
        join_room(room_of(seen))
    emit("welcome", {"role": role})
    return True


@socketio.on("assign")
def on_assign(data):
    emit_ticket_event("assigned", data["ticket"], role="operator")
    return {"assigned": data["ticket"]}


def emit_ticket_event(action, ticket, role="viewer"):
    """Tells a role, and those above it, of a ticket."""
    socketio.emit("ticket", {"action": action, "ticket": ticket}, room=room_of(role))


def emit_system_event(level, text):
    """Tells the administrators."""
    socketio.emit("system", {"level": level, "text": text}, room=room_of("admin"))


def emit_metrics_event(metrics):
    """Tells everybody."""
    socketio.emit("metrics", metrics, room=room_of("viewer"))
