"""Which gunicorn and which worker is guarded, decided without a server."""

from __future__ import annotations

import importlib

import pytest
from hangup._gunicorn.support import judge

base = pytest.importorskip("gunicorn.workers.base")


@pytest.mark.parametrize(
    "version", ["21.0.1", "21.2.0", "22.0.0", "23.0.0", "24.1.1", "25.3.0", "26.2.0", "27.0.1"]
)
@pytest.mark.parametrize("name", ["sync.SyncWorker", "gthread.ThreadWorker"])
def test_known_versions_and_workers_are_guarded(version: str, name: str) -> None:
    """From 21 to 27, for the workers that accept by themselves."""
    module, _, cls = name.partition(".")
    worker = getattr(importlib.import_module(f"gunicorn.workers.{module}"), cls)
    assert judge(version, worker).guarded


@pytest.mark.parametrize("version", ["20.1.0", "19.9.0", "28.0.0", "30.1"])
def test_an_unknown_version_is_refused_with_its_number_as_the_reason(version: str) -> None:
    """Too old and too new are served stock, and the reason says which version it was."""
    worker = importlib.import_module("gunicorn.workers.sync").SyncWorker
    verdict = judge(version, worker)
    assert not verdict.guarded
    assert not verdict.known
    assert version in verdict.reason


def test_a_users_subclass_of_a_known_worker_is_guarded() -> None:
    """The class that the user chose is kept, whatever it adds."""
    worker = importlib.import_module("gunicorn.workers.gthread").ThreadWorker
    assert judge("27.0.1", type("Mine", (worker,), {})).guarded


def test_a_worker_that_derives_from_nothing_known_is_refused_by_name() -> None:
    """The reason names the class."""
    unknown = type("Homemade", (base.Worker,), {})
    verdict = judge("27.0.1", unknown)
    assert not verdict.guarded
    assert "Homemade" in verdict.reason


def test_a_worker_whose_handle_has_other_parameters_is_refused() -> None:
    """A changed upstream layout is not patched by guess."""
    from gunicorn.workers import sync

    def handle(self: object, listener: object, client: object, addr: object, more: object) -> None: ...

    changed = type("SyncWorker", (base.Worker,), {"handle": handle, "__module__": sync.__name__})
    verdict = judge("27.0.1", changed)
    assert not verdict.guarded
    assert "handle" in verdict.reason


def test_a_hook_gets_what_it_takes_by_position() -> None:
    """As gunicorn counts it: what has to be named is the hook's own."""
    import hangup.gunicorn

    calls: list[tuple[object, ...]] = []

    def post_request(worker: object, req: object, *, quiet: bool = True) -> None:
        calls.append((worker, req, quiet))

    configuration: dict[str, object] = {"post_request": post_request}
    hangup.gunicorn.install(configuration)
    chained: object = configuration["post_request"]
    assert callable(chained)
    chained("worker", "request", {}, None)
    assert calls == [("worker", "request", True)]
