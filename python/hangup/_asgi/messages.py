"""What the application, its server and its client say to each other."""

from __future__ import annotations

import json
from typing import Any

Event = dict[str, Any]

#: What a client is asked, and the type of its answer.
HEARTBEAT = '{"type": "heartbeat"}'
HEARTBEAT_ACK = "heartbeat_ack"
#: A longer message is no answer.
LONGEST_ACK = 200


def is_ack(event: Event) -> bool:
    """Whether it is the answer to a heartbeat: ``{"type": "heartbeat_ack"}``, whatever else is in it."""
    text = event.get("text")
    if not isinstance(text, str) or len(text) > LONGEST_ACK or HEARTBEAT_ACK not in text:
        return False
    try:
        said = json.loads(text)
    except ValueError:
        return False
    return isinstance(said, dict) and said.get("type") == HEARTBEAT_ACK


def size_of(message: Event) -> int:
    """Bytes of its content; characters, of a text."""
    return sum(len(message.get(name) or ()) for name in ("text", "bytes", "body"))
