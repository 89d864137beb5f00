"""Real gunicorn, stock and with hangup, for the end-to-end tests.

What a test needs and this machine lacks (a gunicorn version, gevent, eventlet, flask-sock) skips it by name.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator

import pytest
from emit_app import Service, serve
from hangup._demo.scenarios import SCENARIOS, Measurement, Scenario
from hangup._demo.server import MissingGunicorn, Stack, gunicorn_home

Measure = Callable[..., Measurement]

_NEEDS_PYTHON_310 = (26,)


def pytest_configure(config: pytest.Config) -> None:
    """Register the markers used here, wherever the tests are started from."""
    config.addinivalue_line("markers", "slow: takes more than 8 seconds")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Gives the tests of a module with ``SERVICES`` (``emit_app.services``) each of them."""
    if "service_of_the_stack" in metafunc.fixturenames:
        metafunc.parametrize("service_of_the_stack", metafunc.module.SERVICES, indirect=True, scope="module")


@pytest.fixture
def measure() -> Measure:
    """Return ``measure(scenario, stack, version, worker=..., rounds=...)``; skips what cannot run here."""

    def run(name: str, stack: str, version: str, *, worker: str = "gthread", rounds: int) -> Measurement:
        scenario = _scenario(name)
        chosen = Stack(stack, worker=worker, gunicorn=version)
        _require(scenario, chosen)
        measured = scenario.measure(chosen, rounds)
        print(measured.log)  # pytest shows it when the test fails
        return measured

    return run


def _scenario(name: str) -> Scenario:
    return next(scenario for scenario in SCENARIOS if scenario.name == name)


def _require(scenario: Scenario, stack: Stack) -> None:
    try:
        gunicorn_home(stack.version)
    except MissingGunicorn as absent:
        pytest.skip(str(absent))
    if stack.release >= _NEEDS_PYTHON_310 and sys.version_info < (3, 10):
        pytest.skip(f"gunicorn {stack.version} needs Python 3.10")
    reason = scenario.missing(stack)
    if reason is not None:
        pytest.skip(reason)


@pytest.fixture(scope="module")
def service_of_the_stack(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Service]:
    """One server for all the tests of a stack."""
    stack, env = request.param
    with serve(tmp_path_factory.mktemp("service"), stack, **env) as service:
        yield service
        assert "Traceback" not in service.server.log


@pytest.fixture
def service(service_of_the_stack: Service) -> Iterator[Service]:
    """It, without clients."""
    yield service_of_the_stack
    service_of_the_stack.empty()
