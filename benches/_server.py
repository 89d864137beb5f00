"""A gunicorn on one core. "stock" and "hangup" differ in one command line option."""

from __future__ import annotations

from http.client import HTTPConnection
from typing import Optional

from ._process import ROOT, Process, Unavailable

LISTENING = r"Listening at: http://127\.0\.0\.1:([0-9]+)"
_GUARDING = "hangup: guarding the connections of"


def gunicorn_path(version: Optional[str]) -> list[str]:
    """The directory to put first on the server's path; none for the installed gunicorn.

    Raises:
        Unavailable: that version was not unpacked.
    """
    if version is None:
        return []
    home = ROOT / ".gunicorn" / version
    if not (home / "gunicorn").is_dir():
        raise Unavailable(f"gunicorn {version}: pip install --no-deps --target {home} gunicorn=={version}")
    return [str(home)]


class Server(Process):
    """Use as a context manager.

    Args:
        guarded: whether hangup's configuration is used.
        worker: as for ``-k``.
        app: as gunicorn's last argument.
        core: for all its processes.
        version: of gunicorn; None for the installed one.
        threads: of a gthread worker.
        workers: how many.
        env: more of its environment.
    """

    def __init__(
        self,
        guarded: bool,
        worker: str,
        app: str,
        core: int,
        version: Optional[str] = None,
        threads: int = 4,
        workers: int = 1,
        env: Optional[dict[str, str]] = None,
    ) -> None:
        self._guarded = guarded
        words = ["-m", "gunicorn", "-k", worker, "-b", "127.0.0.1:0", "--graceful-timeout", "1"]
        words += ["--workers", str(workers)]
        if guarded:
            words += ["-c", "python:hangup.gunicorn"]
        if worker == "gthread":
            words += ["--threads", str(threads)]
        super().__init__([*words, app], LISTENING, core, gunicorn_path(version), env)

    def __enter__(self) -> Server:
        super().__enter__()
        return self

    def check(self) -> None:
        self.until(self._answers)
        if (_GUARDING in self.log) != self._guarded:
            raise Unavailable(f"guarded: {not self._guarded}, which is not what was asked for")

    def pid(self) -> int:
        return self.child()

    def get(self) -> bytes:
        """The body of one answer.

        Raises:
            OSError: nobody answers yet.
        """
        connection = HTTPConnection("127.0.0.1", self.port, timeout=5)
        try:
            connection.request("GET", "/")
            return connection.getresponse().read()
        finally:
            connection.close()

    def _answers(self) -> bool:
        try:
            return bool(self.get())
        except OSError:
            return False
