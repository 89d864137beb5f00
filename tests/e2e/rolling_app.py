"""The service whose workers are replaced while clients talk to it (``js/rolling.js``)."""

APP = """
import os
import flask, flask_socketio
app = flask.Flask(__name__)
app.secret_key = "secret"
socketio = flask_socketio.SocketIO(app, async_mode=os.environ["MODE"], cors_allowed_origins="*")

@app.get("/")
def facts():
    import hangup
    return {"pid": os.getpid(), "sessions": len(socketio.server.eio.sockets), "counts": hangup.stats()}

try:
    import flask_sock
except ImportError:
    pass
else:
    @flask_sock.Sock(app).route("/plain")
    def plain(websocket):
        while True:
            websocket.send(websocket.receive())

@socketio.on("enter")
def enter(room, name):
    flask.session["name"] = name
    flask_socketio.join_room(room)

@socketio.on("say")
def say(word):
    flask_socketio.emit("said", (word, flask.session["name"], flask.request.sid))

@socketio.on("echo")
def echo(data):
    return data

@socketio.on("tick")
def tick(number):
    flask_socketio.emit("tick", number, broadcast=True)
    flask_socketio.emit("room", number, to="room 3")

@socketio.on("pid")
def pid():
    return os.getpid()

@socketio.on("ask")
def ask(sid, question, seconds):
    return socketio.call("question", question, to=sid, timeout=seconds)

@socketio.on("hold")
def hold(seconds):
    socketio.sleep(seconds)
    flask_socketio.emit("held", os.getpid())
    return os.getpid()

@socketio.on("stick")
def stick():
    flask.session["stuck"] = lambda: None

@socketio.on("disconnect")
def disconnect(*reason):
    with open(os.environ["ENDED"], "a") as ended:
        ended.write(f"{os.getpid()} {flask.request.sid}\\n")
"""
