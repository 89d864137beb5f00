"""A deployment in a folder of its own: the example, as it is or as it was, and its services on free ports.

Promised: nothing is changed in the example apart from addresses, which its own environment variables set, or, in the
files of nginx, `replaced`. nginx runs as whoever runs this, with its files below the folder.
"""

from __future__ import annotations

import shlex
import shutil
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from hangup._demo.server import wait_until

from .clients import together
from .environment import EXAMPLES, Missing, environment_of
from .service import Failed, Holding, Service, free_port

#: Of a platform host, in nginx's words.
ROUTER = str(Path(__file__).with_name("router.conf"))
STOCK = "stock"
HANGUP = "hangup"

_NGINX = """
worker_processes 1;
daemon off;
pid nginx.pid;
error_log stderr warn;
events {{ worker_connections 4096; }}
http {{
    access_log access.log;
    client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi; scgi_temp_path scgi;
    include {site};
}}
"""


class Site:
    """Services of one variant of an example; use as a context manager.

    Attributes:
        variant: "stock" or "hangup".
        folder: the copy of the example.
        quick: whether a sample is enough.
        services: by the name they were started under.
        provoked: how often each error was provoked.
        left: how many processes had to be killed in the end.
    """

    def __init__(self, example: str, variant: str, directory: Path, *, quick: bool = False) -> None:
        self.variant = variant
        self.quick = quick
        self.directory = directory
        self.folder = directory / example
        self.services: dict[str, Service] = {}
        self.provoked: Counter[str] = Counter()
        self.left = 0
        shutil.copytree(EXAMPLES / example, self.folder, ignore=shutil.ignore_patterns("__pycache__"))
        if variant == STOCK:
            _take_back(self.folder)
        self.environment = environment_of(example, directory)

    def __enter__(self) -> Site:
        """Nothing runs yet."""
        return self

    def __exit__(self, *_: object) -> None:
        """Stops what runs, last started first."""
        for service in reversed(self.services.values()):
            self.left += service.stop()

    def run(self, command: Sequence[str], env: Mapping[str, str] | None = None) -> None:
        """A command that ends, such as a migration.

        Raises:
            Failed: it did not end with 0.
        """
        done = subprocess.run(
            list(command), cwd=self.folder, env={**self.environment, **(env or {})},
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60,
        )  # fmt: skip
        if done.returncode:
            raise Failed(f"{shlex.join(command)} ended with {done.returncode}:\n{done.stdout}{done.stderr}")

    def procfile(self) -> dict[str, list[str]]:
        """The commands of the example's ``Procfile``, by their names, for `start`; a shell expands their variables."""
        lines = (self.folder / "Procfile").read_text().splitlines()
        commands = (line.partition(":")[::2] for line in lines if ":" in line)
        return {name: ["sh", "-c", f"exec {command.strip()}"] for name, command in commands}

    def start(
        self,
        name: str,
        command: Sequence[str],
        *ports: int,
        workers: int = 0,
        env: Mapping[str, str] | None = None,
    ) -> Service:
        """A service whose log is ``name``, once it listens at ``ports`` with that many of gunicorn's workers.

        Raises:
            Failed: it does not come up.
            Missing: there is no such program.
        """
        environment = {**self.environment, **(env or {})}
        if (
            shutil.which(command[0], path=environment["PATH"]) is None
            and not (self.folder / command[0]).exists()
        ):
            raise Missing(f"{command[0]} is not installed")
        service = Service(command, self.folder, environment, self.directory / name)
        self.services[name] = service
        service.wait_for_ports(*ports, workers=workers)
        return service

    def nginx(self, file: str, replaced: Mapping[str, str], port: int) -> Service:
        """Debian's nginx with the example's ``file``, which has the ``server``.

        Args:
            file: below the folder, or anywhere.
            replaced: addresses in the file, and what is used here.
            port: where it is to listen; the file's ``listen`` must be among the replaced.

        Raises:
            Missing: there is no nginx.
            Failed: the file has none of an address to be replaced, or nginx does not start.
        """
        text = (self.folder / file).read_text()
        for here, there in replaced.items():
            if here not in text:
                raise Failed(f"{file} has no {here!r}")
            text = text.replace(here, there)
        prefix = self.directory / "nginx"
        prefix.mkdir(mode=0o755)
        (prefix / "site.conf").write_text(text)
        (prefix / "nginx.conf").write_text(_NGINX.format(site=prefix / "site.conf"))
        return self.start("nginx", ["nginx", "-p", str(prefix), "-c", str(prefix / "nginx.conf")], port)

    def surely(self, conversation: Callable[[int], object]) -> None:
        """A conversation without which the rest makes no sense, such as the first.

        Raises:
            Failed: it failed; the message ends with the logs.
        """
        for failure in together(conversation, 1):
            if failure is not None:
                raise Failed(f"{failure!r}\n{self.log()}") from failure

    def provoke(self, error: str, conversation: Callable[[int], object]) -> None:
        """A conversation that makes the application fail; waits for ``error`` in the log, for a moment.

        So that the lines of two tracebacks do not come between each other.

        Raises:
            Failed: the conversation itself did, as in `surely`.
        """
        there = self.log().count(error)
        self.provoked[error] += 1
        self.surely(conversation)
        wait_until(lambda: self.log().count(error) > there, 1.5, every=0.05)

    def redis(self) -> str:
        """The URL of a Redis of its own, that keeps nothing on disk."""
        port = free_port()
        command = [
            "redis-server",
            "--port",
            str(port),
            "--bind",
            "127.0.0.1",
            "--save",
            "",
            "--appendonly",
            "no",
        ]
        self.start("redis", command, port, env={"PYTHONPATH": ""})
        return f"redis://127.0.0.1:{port}"

    def log(self) -> str:
        """What all services have written."""
        return "\n".join(service.log for service in self.services.values())

    def holding(self, *names: str) -> Holding:
        """What the named services hold, or all of them."""
        return sum((self.services[name].holding() for name in names or self.services), Holding())

    def settled(self, *names: str, still: float = 0.5, seconds: float = 10) -> Holding:
        """What they hold when that has not changed for ``still`` seconds, but for memory; without what nginx keeps."""
        self._end_kept_connections()
        seen, since = self.holding(*names), time.monotonic()

        def unchanged() -> bool:
            nonlocal seen, since
            now = self.holding(*names)
            if (now.fds, now.threads) != (seen.fds, seen.threads):
                seen, since = now, time.monotonic()
            return time.monotonic() - since >= still

        wait_until(unchanged, seconds, every=0.05)
        return seen

    def rest(self, before: Holding, *names: str, seconds: float = 5) -> Holding:
        """What they hold when it is no more than ``before``, or, if that does not come, after ``seconds``."""
        self._end_kept_connections()

        def rested() -> bool:
            now = self.holding(*names)
            return now.fds <= before.fds and now.threads <= before.threads

        wait_until(rested, seconds, every=0.1)
        return self.holding(*names)

    def _end_kept_connections(self) -> None:
        """A reload of nginx closes the idle ones that it keeps to its upstreams."""
        if "nginx" in self.services:
            self.services["nginx"].signal(signal.SIGHUP)

    def restarts(self) -> int:
        """How many workers were started that should not have been."""
        return sum(service.restarts for service in self.services.values())


def _take_back(folder: Path) -> None:
    """Applies ``hangup.diff`` the other way round."""
    if shutil.which("patch") is None:
        raise Missing("patch is not installed")
    done = subprocess.run(
        ["patch", "--reverse", "--strip=1", "--force", "--no-backup-if-mismatch", "--input=hangup.diff"],
        cwd=folder, capture_output=True, text=True,
    )  # fmt: skip
    if done.returncode:
        raise Failed(f"hangup.diff does not fit {folder.name}:\n{done.stdout}{done.stderr}")
