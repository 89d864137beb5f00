"""uvicorn's own tests of its WebSocket implementations, with ours in the place of one of them."""

from __future__ import annotations

import importlib.metadata
import os
import re
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
from e2e_uvicorn import NATIVE

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

STOCK = "uvicorn.protocols.websockets.websockets_sansio_impl:WebSocketsSansIOProtocol"
#: What ours cannot pass, and why.
INHERENT = {
    "test_supports_permessage_deflate_extension": "it is not negotiated",
    "test_server_keepalive_ping_pong": "asks whether uvicorn's own classes serve the connection",
    "test_server_keepalive_disabled": "asks whether uvicorn's own classes serve the connection",
    "test_close_gives_up_when_the_peer_never_replies": "sets an attribute of uvicorn's own class",
}


@pytest.fixture(scope="module")
def suite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory that has uvicorn's tests, of the version that is installed."""
    for needed in ("uvicorn", "websockets", "anyio", "httpx2"):
        pytest.importorskip(needed)
    wanted = f"uvicorn=={importlib.metadata.version('uvicorn')}"
    directory = tmp_path_factory.mktemp("suite")
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary", "uvicorn", wanted]
    if subprocess.run(pip, cwd=directory, check=False, timeout=300).returncode:
        pytest.skip(f"the source of {wanted} cannot be downloaded")
    for archive in directory.glob("uvicorn-*.tar.gz"):
        with tarfile.open(archive) as packed:
            packed.extractall(directory, filter="data")
        unpacked = directory / archive.name.removesuffix(".tar.gz") / "tests"
        if not (unpacked / "protocols" / "test_websocket.py").exists():
            pytest.skip(f"the source of {wanted} has no tests")
        shutil.move(unpacked, directory / "tests")
    (directory / "pytest.ini").write_text("[pytest]\n")
    return directory


def passed(suite: Path, implementation: str) -> tuple[set[str], str]:
    """The tests that pass with an implementation in the place of uvicorn's, and what pytest said."""
    conftest = suite / "tests" / "conftest.py"
    stock = conftest.read_text()
    assert stock.count(STOCK) == 1
    conftest.write_text(stock.replace(STOCK, implementation))
    try:
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-rA", "--tb=short", "-p", "no:randomly", "-p", "no:cacheprovider",
             "-k", "websockets-sansio", "tests/protocols/test_websocket.py"],
            cwd=suite, env={**os.environ, "HANGUP": "on"}, capture_output=True, text=True, timeout=300, check=False,
        )  # fmt: skip
    finally:
        conftest.write_text(stock)
    return set(re.findall(r"^PASSED \S*::(\S+)", done.stdout, re.M)), done.stdout


def test_what_passes_with_uvicorns_own_passes_with_ours(suite: Path) -> None:
    """With each HTTP implementation that is installed."""
    stock, said = passed(suite, STOCK)
    assert len(stock) > 50, said
    ours, said = passed(suite, NATIVE)
    assert {name.partition("[")[0] for name in stock - ours} - INHERENT.keys() == set(), said
