"""What hangup.install() hooks besides loggers: put in once, taken out again, and chained with what is there."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import hangup
import pytest


def run(code: str, **environment: str) -> str:
    """What a process of its own prints."""
    home = str(Path(hangup.__file__).parents[1])
    path = os.pathsep.join(filter(None, [home, os.environ.get("PYTHONPATH")]))
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", textwrap.dedent(code)],
        env={**os.environ, "PYTHONPATH": path, "HANGUP_LOG_SUMMARY": "0", **environment},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


#: A thread of the server's that ends because its client left, and one of the application's.
THREADS = """
    import errno, logging, sys, threading
    def thread(module):
        scope = {"__name__": module}
        exec("def writer(): raise BrokenPipeError(32, 'gone')", scope)
        started = threading.Thread(target=scope["writer"])
        started.start()
        started.join()
    def both():
        thread("engineio.socket")
        thread("shop.views")
    """


def test_a_hook_of_the_applications_is_chained_and_given_back() -> None:
    """Installed twice, it is asked once."""
    assert "ok" in run(
        THREADS
        + """
    heard = []
    def mine(args):
        heard.append(args.exc_traceback.tb_next.tb_next.tb_frame.f_globals["__name__"])
    threading.excepthook = mine
    import hangup
    hangup.install(), hangup.install()
    both()
    assert heard == ["shop.views"], heard
    assert hangup.stats()["log_demoted"] == 1
    hangup.uninstall(), hangup.uninstall()
    assert threading.excepthook is mine
    both()
    assert heard == ["shop.views", "engineio.socket", "shop.views"], heard
    print("ok")
    """
    )


def test_a_hook_that_came_later_stays_and_goes_on_to_ours() -> None:
    """After uninstall() ours is quiet; after another install() it is not there twice."""
    assert "ok" in run(
        THREADS
        + """
    import hangup
    heard = []
    threading.excepthook = stock = lambda args: heard.append("stock")
    hangup.install()
    ours = threading.excepthook
    def mine(args):
        heard.append("mine")
        ours(args)
    threading.excepthook = mine
    both()
    assert heard == ["mine", "mine", "stock"], heard
    hangup.uninstall()
    assert threading.excepthook is mine
    heard.clear()
    both()
    assert heard == ["mine", "stock", "mine", "stock"], heard
    hangup.install()
    assert threading.excepthook is mine
    heard.clear()
    both()
    assert heard == ["mine", "mine", "stock"], heard
    assert hangup.stats()["log_demoted"] == 2
    print("ok")
    """
    )


@pytest.mark.parametrize(("mode", "printed"), [("on", 1), ("observe", 2), ("off", 2)])
def test_the_switch(mode: str, printed: int) -> None:
    """``observe`` counts and prints; ``off`` does not even count."""
    out = run(
        THREADS
        + """
    import hangup
    before = threading.excepthook
    hangup.install()
    both()
    print(hangup.stats()["log_demoted"], hangup.stats()["log_counted"], threading.excepthook is before)
    """,
        HANGUP=mode,
    )
    assert out.count("BrokenPipeError") == printed
    assert {"on": "1 0 False", "observe": "0 1 False", "off": "0 0 True"}[mode] in out


GREENLETS = {
    "gevent": """
    import gevent, gevent.hub, gevent.pywsgi
    places = [(gevent.hub.Hub, "handle_error"), (gevent.pywsgi.WSGIHandler, "_handle_client_error")]
    def start(function):
        gevent.spawn(function).join()
    """,
    "eventlet": """
    import eventlet, eventlet.hubs.hub, eventlet.wsgi, eventlet.websocket
    Hub = eventlet.hubs.hub.BaseHub
    places = [(Hub, "squelch_exception"), (Hub, "squelch_timer_exception"), (Hub, "squelch_generic_exception"),
              (eventlet.wsgi.LoggerFileWrapper, "write"), (eventlet.websocket.WebSocket, "__init__")]
    def start(function):
        eventlet.spawn_after(0, function)
        eventlet.sleep(0.05)
    """,
}


@pytest.mark.parametrize("hub", sorted(GREENLETS))
def test_a_hubs_printers_are_put_back(hub: str) -> None:
    """And print what is the application's while they are ours."""
    pytest.importorskip(hub)
    out = run(
        GREENLETS[hub]
        + """
    import hangup
    def greenlet(module):
        scope = {"__name__": module}
        exec("def serve(): raise TimeoutError(110, 'gone ' + __name__)", scope)
        start(scope["serve"])
    stock = [getattr(*place) for place in places]
    hangup.install(), hangup.install()
    assert not [place for place, was in zip(places, stock) if getattr(*place) is was]
    greenlet("engineio.socket")
    greenlet("shop.views")
    assert hangup.stats()["log_demoted"] == 1, hangup.stats()
    hangup.uninstall()
    assert [getattr(*place) for place in places] == stock
    greenlet("engineio.server")
    print("ok")
    """
    )
    assert "ok" in out
    assert "gone engineio.socket" not in out
    assert "gone shop.views" in out
    assert "gone engineio.server" in out


def test_eventlets_websocket_writes_go_through_the_table() -> None:
    """A close of what is closed already is ours to hear of."""
    pytest.importorskip("eventlet")
    out = run(
        """
    import eventlet.websocket, errno, io, sys
    import hangup
    hangup.install()
    code = "class Socket:\\n def shutdown(self, how): raise OSError(number, 'x')\\n def close(self): pass"
    for number, module in ((errno.EPIPE, "eventlet.greenio.base"), (errno.EPIPE, "shop"), (errno.EBADF, "eventlet")):
        scope = {"__name__": module, "number": number}
        exec(code, scope)
        stream = io.StringIO()
        ws = eventlet.websocket.WebSocket(scope["Socket"](), {"wsgi.errors": stream}, version=13)
        ws.close()
        print(module, repr(stream.getvalue()[-12:].strip()))
        ws.log.write("anything else")
        assert stream.getvalue().endswith("anything else")
        assert ws.log.closed is False
    """
    )
    assert "eventlet.greenio.base ''" in out
    assert "shop '[Errno 32] x'" in out
    assert "eventlet '[Errno 9] x'" in out


@pytest.mark.parametrize("hub", sorted(GREENLETS))
def test_a_hook_into_a_hub_that_came_later_stays(hub: str) -> None:
    """As with ``threading.excepthook``: what an application put on top of ours is not ours to take away."""
    pytest.importorskip(hub)
    assert "ok" in run(
        GREENLETS[hub]
        + """
    import hangup
    hangup.install()
    def on_top(ours):
        return lambda *args: ours(*args)
    later = [on_top(getattr(*place)) for place in places]
    for place, hook in zip(places, later):
        setattr(*place, hook)
    hangup.uninstall()
    assert [getattr(*place) for place in places] == later
    hangup.install(), hangup.uninstall()
    assert [getattr(*place) for place in places] == later
    print("ok")
    """
    )
