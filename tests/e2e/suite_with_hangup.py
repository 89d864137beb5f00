"""A pytest plugin for the suites of Channels and daphne: ``-p suite_with_hangup`` puts hangup into what they test.

``HANGUP=off`` makes it the stock run, in which it only writes down what became of each test, to the file that
``SUITE_OUTCOMES`` names. Each application, consumer and site that hangup was part of is a line of the file that
``SUITE_MET`` names: daphne's tests have their servers in processes of their own, which are terminated.
"""

from __future__ import annotations

import functools
import json
import os
from pathlib import Path
from typing import Any

import hangup
from hangup import _mode, logfilter
from hangup.asgi import Hangup

outcomes: dict[str, str] = {}
failures: dict[str, str] = {}


def met(what: str) -> None:
    """Writes a line down."""
    with Path(os.environ["SUITE_MET"]).open("a") as file:
        file.write(what + "\n")


class Wrapped:
    """An application that the suite serves, in the middleware."""

    def __init__(self, app: Any) -> None:
        self.app = Hangup(app)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """ASGI's."""
        met("application")
        await self.app(scope, receive, send)


def wrap_communicators() -> None:
    """Every application that a test talks to."""
    from asgiref.compatibility import guarantee_single_callable
    from asgiref.testing import ApplicationCommunicator

    stock = ApplicationCommunicator.__init__

    @functools.wraps(stock)
    def __init__(self: Any, application: Any, scope: Any) -> None:
        stock(self, Wrapped(guarantee_single_callable(application)), scope)

    ApplicationCommunicator.__init__ = __init__


def mix_in() -> None:
    """Into the classes that the suite's consumers inherit from."""
    from channels.generic import websocket
    from hangup.channels import HangupConsumerMixin

    class Met(HangupConsumerMixin):
        async def __call__(self, scope: Any, receive: Any, send: Any) -> Any:
            met("consumer")
            return await super().__call__(scope, receive, send)

    for name in (
        "WebsocketConsumer",
        "JsonWebsocketConsumer",
        "AsyncWebsocketConsumer",
        "AsyncJsonWebsocketConsumer",
    ):
        setattr(websocket, name, type(name, (Met, getattr(websocket, name)), {}))


def join_sites() -> None:
    """Every site that is set up has the application and the middleware."""
    from django.apps.registry import Apps
    from django.conf import settings

    stock = Apps.populate

    @functools.wraps(stock)
    def populate(self: Any, installed_apps: Any = None) -> None:
        if not self.ready and installed_apps is settings.INSTALLED_APPS:
            met("site")
            settings.INSTALLED_APPS = installed_apps = [*installed_apps, "hangup.django"]
            settings.MIDDLEWARE = [*settings.MIDDLEWARE, "hangup.django.DisconnectMiddleware"]
        stock(self, installed_apps)

    Apps.populate = populate


def wrap_daphne() -> None:
    """What daphne's test servers serve."""
    from daphne.testing import BaseDaphneTestingInstance

    stock = BaseDaphneTestingInstance.__init__

    @functools.wraps(stock)
    def __init__(self: Any, *args: Any, application: Any, **options: Any) -> None:
        stock(self, *args, application=Wrapped(application), **options)

    BaseDaphneTestingInstance.__init__ = __init__


PARTS = {"channels": (wrap_communicators, mix_in, join_sites), "daphne": (wrap_daphne, join_sites)}

if _mode.mode() == _mode.ON:
    for part in PARTS[os.environ["SUITE"]]:
        part()
    hangup.install()
    logfilter.install()


def pytest_runtest_logreport(report: Any) -> None:
    """The outcome is the worst of its phases."""
    if report.when == "call" or report.outcome != "passed":
        outcomes[report.nodeid] = (
            report.outcome if report.when == "call" else f"{report.when} {report.outcome}"
        )
    if report.failed:
        failures[report.nodeid] = report.longreprtext


def pytest_sessionfinish() -> None:
    """Writes the file."""
    Path(os.environ["SUITE_OUTCOMES"]).write_text(json.dumps({"outcomes": outcomes, "failures": failures}))
