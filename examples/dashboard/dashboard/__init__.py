"""The operations dashboard: tickets by HTTP, what happens to them by Socket.IO, to those whose role may see it."""

from flask import Flask

from .events import socketio
from .views import views


def create_app():
    """The application, with its Socket.IO."""
    app = Flask(__name__)
    app.config.from_prefixed_env("DASHBOARD")
    app.config.setdefault("SECRET_KEY", "set DASHBOARD_SECRET_KEY")
    app.register_blueprint(views)
    socketio.init_app(app)
    return app
