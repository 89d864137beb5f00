"""What an entry of the catalogue is made of."""

from __future__ import annotations

import enum
from typing import NamedTuple


class Blame(enum.Enum):
    """Who has to change something for a failure to end."""

    CLIENT = "the client"
    SERVER = "the server library"
    YOURS = "your code"
    PROXY = "the proxy"
    CONFIGURATION = "the configuration"
    SYSTEM = "the machine"


class Help(enum.Enum):
    """What hangup does about a failure."""

    PREVENTS = "prevents it"
    DEMOTES = "demotes the line to DEBUG, and counts it"
    COUNTS = "counts it"
    REPORTS = "reports the set-up behind it (`hangup doctor`)"
    NOTHING = "nothing"


class Sign(NamedTuple):
    """One way to recognise a failure. What is empty is not asked for; all the rest has to hold.

    Attributes:
        raises: the exception's type as a traceback prints it; without a module, in any module.
        says: a regular expression for what the exception says.
        raised_in: server modules. The last frame that does not only carry I/O is in one of them.
        passes: modules, or ``module:function``; the traceback passes through one of them.
        source: a regular expression for the printed source of one of the frames in ``passes``.
        line: a regular expression for a line without an exception.
        needle: what each such line contains literally.
        alone: whether the last line of the traceback by itself suggests this failure.
        only_alone: whether it says nothing more if there are frames.
    """

    raises: str = ""
    says: str = ""
    raised_in: tuple[str, ...] = ()
    passes: tuple[str, ...] = ()
    source: str = ""
    line: str = ""
    needle: str = ""
    alone: bool = False
    only_alone: bool = False


class Failure(NamedTuple):
    """One failure, declared.

    Attributes:
        code: ``HUP001`` and so on. It is never given to another failure.
        title: what the log says, literally; where it says nothing, what is seen instead.
        logged: whether anything says it in a log.
        blame: who has to change something.
        why: what happens, by the code path.
        do: what to do.
        avoid: what not to do.
        versions: which versions have it.
        help: what hangup does.
        helped: how.
        source: where that is known from.
        signs: how it is recognised, besides the following two, which the log filter knows.
        endings: full names of the exceptions of :data:`hangup._logs.endings.ENDINGS` that say it, with what they say.
        texts: beginnings of messages in :data:`hangup._logs.table.TABLE` that say it.
        departures: labels of :mod:`hangup._logs.judge`: a client that left thus.
        harmless: nothing has to be done.
    """

    code: str
    title: str
    blame: Blame
    why: str
    do: str
    avoid: str
    versions: str
    help: Help
    helped: str
    source: str
    logged: bool = True
    signs: tuple[Sign, ...] = ()
    endings: tuple[str, ...] = ()
    texts: tuple[str, ...] = ()
    departures: tuple[str, ...] = ()
    harmless: bool = False
