"""Session ids that say whose a session is, to those who know the secret.

Promised
    An id is 7 random octets, its owner's pid under a mask that they and the secret determine, and 40 bits of a keyed
    hash (BLAKE2, RFC 7693) over both: who does not know the secret reads no owner off it, and makes none that is
    believed. To guess one of a session takes 96 bits. It is as long as python-engineio's own.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import os
from typing import Optional

#: A pid has 22 bits at most (proc(5), pid_max).
_CHANCE, _PID, _TAG = 7, 3, 5


def session_id(secret: bytes) -> str:
    """A new id of a session of this process: 20 characters of URL-safe base64."""
    chance = os.urandom(_CHANCE)
    mask, tag = _mask_and_tag(secret, chance, os.getpid())
    masked = (os.getpid() ^ mask).to_bytes(_PID, "big")
    return base64.urlsafe_b64encode(chance + masked + tag).decode()


def owner_of(sid: str, secret: bytes) -> Optional[int]:
    """The pid that is in an id; None if it is not one of ours."""
    try:
        octets = base64.b64decode(sid.encode("ascii"), b"-_", validate=True)
    except (UnicodeEncodeError, binascii.Error):
        return None
    if len(octets) != _CHANCE + _PID + _TAG:
        return None
    chance, masked, told = octets[:_CHANCE], octets[_CHANCE:-_TAG], octets[-_TAG:]
    pid = int.from_bytes(masked, "big") ^ _mask(secret, chance)
    return pid if hmac.compare_digest(_tag(secret, chance, pid), told) else None


def _mask_and_tag(secret: bytes, chance: bytes, pid: int) -> tuple[int, bytes]:
    return _mask(secret, chance), _tag(secret, chance, pid)


def _mask(secret: bytes, chance: bytes) -> int:
    return int.from_bytes(hashlib.blake2b(chance, key=secret, digest_size=_PID).digest(), "big")


def _tag(secret: bytes, chance: bytes, pid: int) -> bytes:
    return hashlib.blake2b(chance + pid.to_bytes(_PID, "big"), key=secret, digest_size=_TAG).digest()
