"""Why there is no answer."""

from __future__ import annotations


class ControlError(Exception):
    """There is no answer; the message says why."""


class NobodyAnswers(ControlError):
    """The process does not exist, has no control socket, or cannot be reached from here."""


class Silent(NobodyAnswers):
    """It has a control socket, and did not answer in time: it is stopped, or holds the interpreter's lock."""


class Refused(ControlError):
    """It does not answer this user, or ``HANGUP=observe`` lets it change nothing."""


class Failed(ControlError):
    """It knows no such verb, or could not do what was asked for."""
