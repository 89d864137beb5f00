"""``manage.py hangup doctor | fds | top``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.core import checks
from django.core.management.base import BaseCommand, CommandError

from hangup import _inquiry


class Command(BaseCommand):  # type: ignore[misc]
    """Django's."""

    help = "What hangup guards, what a process holds open, what its workers counted."
    requires_system_checks: tuple[str, ...] = ()

    def add_arguments(self, parser: Any) -> None:
        """Django's."""
        wanted = parser.add_subparsers(dest="wanted", required=True)
        wanted.add_parser("doctor", help="what is guarded here, and what is wrong with the deployment")
        fds = wanted.add_parser("fds", help="what a process holds open")
        top = wanted.add_parser("top", help="what the workers counted")
        for command in (fds, top):
            command.add_argument(
                "--pid", type=int, required=True, help="of gunicorn's master, or of a worker"
            )
        top.add_argument("--every", type=float, default=1.0, help="seconds between two readings")
        top.add_argument("--times", type=int, default=1, help="how many readings")

    def handle(self, *args: Any, **options: Any) -> None:
        """Django's."""
        asked = {
            "doctor": lambda: self._doctor(),
            "fds": lambda: _inquiry.fds(options["pid"]),
            "top": lambda: _inquiry.top(options["pid"], options["every"], options["times"]),
        }
        try:
            for line in asked[options["wanted"]]():
                self.stdout.write(line)
        except (OSError, LookupError) as error:
            raise CommandError(str(error)) from error

    def _doctor(self) -> Iterator[str]:
        yield from _inquiry.doctor()
        asked = checks.run_checks(tags=["hangup"], include_deployment_checks=True)
        found = [message for message in asked if not message.is_silenced()]
        for message in found:
            yield f"{message.id}: {message.msg}" + (f" ({message.hint})" if message.hint else "")
        serious = [message.id for message in found if message.is_serious(checks.WARNING)]
        if serious:
            raise CommandError(f"to be mended: {', '.join(dict.fromkeys(serious))}")
        yield "nothing to mend"
