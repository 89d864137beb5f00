"""The switch: ``HANGUP=off | observe | on`` in the environment."""

from __future__ import annotations

import os

ON, OBSERVE, OFF = "on", "observe", "off"
_SPELLINGS = {"": ON, "1": ON, "true": ON, "yes": ON, "0": OFF, "false": OFF, "no": OFF}


_complained_of: set[str] = set()


def meaning(value: str) -> str:
    """One of the three for what they are also spelt; anything else in lower case."""
    value = value.strip().lower()
    return _SPELLINGS.get(value, value)


def mode() -> str:
    """``on`` (the default), ``observe`` (count, change nothing) or ``off`` (touch nothing).

    A value that is none of these means ``off``, and is said in one WARNING: whoever set the switch wanted
    something other than the default.
    """
    value = meaning(os.environ.get("HANGUP", ""))
    if value in (ON, OBSERVE, OFF):
        return value
    if value not in _complained_of:
        import logging  # not before there is something to say

        _complained_of.add(value)
        logging.getLogger("hangup").warning("HANGUP=%r is none of on, observe, off: hangup stays off", value)
    return OFF
