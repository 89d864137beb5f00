"""What the doctor is asked to look at."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from typing import Optional

from ..facts import Django


@dataclasses.dataclass
class Asked:
    """What to look at.

    Attributes:
        paths: folders of projects, or single files; none: the current folder, and this machine's nginx and units as
            far as they are about it.
        pid: a running server.
        nginx: configurations of nginx.
        units: units of systemd.
        command: a command line that starts the server.
        environment: what services are started with that bring no environment of their own.
        clients: how many clients are expected at once.
        system: the root of the machine's own files.
        with_sources: whether the application's sources are read; its deployment is in any case.
        django: the settings of this process, if it is Django's.
    """

    paths: tuple[str, ...] = ()
    pid: Optional[int] = None
    nginx: tuple[str, ...] = ()
    units: tuple[str, ...] = ()
    command: Optional[str] = None
    environment: Mapping[str, str] = dataclasses.field(default_factory=lambda: dict(os.environ))
    clients: int = 100
    system: str = "/"
    with_sources: bool = True
    django: Optional[Django] = None
