"""The service that crowds of clients meet (``js/crowd.js``): who says which worker serves it."""

APP = """
import json, os
import flask, flask_socketio
app = flask.Flask(__name__)
socketio = flask_socketio.SocketIO(app, async_mode=os.environ["MODE"], cors_allowed_origins="*")

@app.get("/")
def facts():
    counts = {}
    try:
        import hangup
        counts = hangup.stats()
    except ImportError:
        pass
    return {"pid": os.getpid(), "sessions": len(socketio.server.eio.sockets), "counts": counts}

@socketio.on("where")
def where():
    return os.getpid()

@socketio.on("echo")
def echo(data):
    return data

@socketio.on("tell")
def tell():
    flask_socketio.emit("told", os.getpid(), broadcast=True)
    return True

@socketio.on("enter")
def enter(room):
    flask_socketio.join_room(room)
    return flask.request.sid

@socketio.on("say")
def say(room, data):
    flask_socketio.emit("said", data, to=room)
    return True

@socketio.on("ask")
def ask(sid, question):
    return socketio.call("question", question, to=sid)

@socketio.on("close")
def close(room):
    flask_socketio.close_room(room)
    return True

@socketio.on("end")
def end(sid):
    flask_socketio.disconnect(sid)
    return True
"""
