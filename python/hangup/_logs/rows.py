"""What a row of the table is made of."""

from __future__ import annotations

from typing import NamedTuple


class Text(NamedTuple):
    """A message without an exception. It counts only if the server's own code logs it.

    Attributes:
        begins: how the message begins.
        cause: the name under which it is counted.
        why: why it is only about a client.
    """

    begins: str
    cause: str
    why: str


class Printed(NamedTuple):
    """A message that is logged while an exception is handled, and that has the exception only as text, or not at all.

    Attributes:
        begins: how the message begins.
        names_it: its last line names the exception's type. Else the message is about nothing but the exception.
    """

    begins: str
    names_it: bool = True


class Ending(NamedTuple):
    """An exception that says nothing but that a client's connection is over, and may pass through the application.

    Attributes:
        type: its full name.
        raised_by: the server's modules that raise it, by themselves or through the row's ``carriers``.
        says: how its text has to begin.
        function: which has to raise it, "" for any.
        unless: an attribute of the object whose method raised it. If it is true, our side ended the connection.
        provided: the same. Only if it is true, the other side ended the connection.
        why: what it means.
    """

    type: str
    raised_by: tuple[str, ...]
    why: str
    says: str = ""
    function: str = ""
    unless: str = ""
    provided: str = ""


class Source(NamedTuple):
    """One row of the table: what the server behind a logger is made of.

    Module names stand for themselves and everything below them.

    Attributes:
        server: the server's modules that do I/O on client connections only.
        carriers: modules it does that I/O through. They carry anybody's sockets, so alone they prove nothing.
        apart: parts of ``server`` and ``carriers`` whose failures are not about clients.
        runs_app: functions of the server that call objects of the application. An object written in C has
            no frame of its own: such a function must be seen to go on inside the server.
        texts: messages that are matched without an exception.
        printed: messages whose exception is the one being handled.
        channel: what reaches this row: "logger", or what is hooked.
        looks_like: a line of it, for people.
        means: when that is logged.
    """

    server: tuple[str, ...]
    carriers: tuple[str, ...]
    apart: tuple[str, ...]
    runs_app: frozenset[str]
    texts: tuple[Text, ...] = ()
    printed: tuple[Printed, ...] = ()
    channel: str = "logger"
    looks_like: str = ""
    means: str = ""
