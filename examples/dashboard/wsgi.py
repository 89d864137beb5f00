"""What gunicorn imports. eventlet's worker has patched the standard library by then."""

from dashboard import create_app

app = create_app()
