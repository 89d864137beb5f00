"""The second port: quotes as plain WebSocket messages, for programs that do not speak Socket.IO."""

import json
import threading

from websockets.exceptions import ConnectionClosed
from websockets.sync.server import serve

_clients = set()


def start(host, port):
    """Serves in threads of the worker."""
    server = serve(_serve_client, host, port)
    threading.Thread(target=server.serve_forever, daemon=True).start()


def publish(symbol, price):
    """To every client; one that left is dropped."""
    message = json.dumps({"symbol": symbol, "price": price})
    for client in list(_clients):
        try:
            client.send(message)
        except ConnectionClosed:
            _clients.discard(client)


def _serve_client(client):
    _clients.add(client)
    try:
        for _ in client:
            pass
    except ConnectionClosed:
        pass
    finally:
        _clients.discard(client)
