"""Room for many clients in this process."""

from __future__ import annotations

import os
import resource

from . import Refused

#: For everything that is no client: probes, Python's own files, the native runtime.
_SPARE = 128
MOST_CLIENTS = 100_000


def make_room(clients: int, each: int = 1) -> None:
    """Raises the limit of open descriptors, as far as it may be.

    Args:
        clients: how many there will be at a time.
        each: descriptors that one of them needs.

    Raises:
        Refused: that is not far enough.
    """
    if clients > MOST_CLIENTS:
        raise Refused(f"{clients} clients are more than {MOST_CLIENTS}")
    wanted = clients * each + len(os.listdir("/proc/self/fd")) + _SPARE
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return
    if hard != resource.RLIM_INFINITY and hard < wanted:
        most = max(0, (hard - (wanted - clients * each)) // each)
        raise Refused(
            f"{clients} clients need {wanted} descriptors, and this process may open {hard}: "
            f"ulimit -Hn {wanted} (as root), LimitNOFILE= of a unit, or at most {most} clients"
        )
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard if hard != resource.RLIM_INFINITY else wanted, hard))
