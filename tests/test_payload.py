"""Bytes are found in payloads as python-socketio finds them."""

from __future__ import annotations

from typing import Any

import pytest
from hangup._hangup import contains_bytes
from hypothesis import given
from hypothesis import strategies as st

packet = pytest.importorskip("socketio.packet")

LEAVES = st.none() | st.booleans() | st.integers() | st.text() | st.binary() | st.binary().map(bytearray)
PAYLOADS = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner) | st.dictionaries(st.text(), inner) | st.tuples(inner) | st.binary().map(memoryview)
    ),
)


@given(PAYLOADS)
def test_as_stock(payload: Any) -> None:
    """Lists and dicts are looked into; tuples and views are not."""
    assert contains_bytes(payload) == packet.Packet.data_is_binary(payload)


def test_derived_containers_are_looked_into() -> None:
    """As isinstance() decides it."""

    class Listed(list[Any]):
        pass

    class Mapped(dict[str, Any]):
        pass

    assert contains_bytes(Listed([Mapped(key=b"")]))
    assert not contains_bytes(Listed([Mapped(key="")]))


@pytest.mark.parametrize("payload", [[], {}], ids=["list", "dict"])
def test_a_payload_in_itself_is_refused(payload: Any) -> None:
    """With the error that encoding it would end in."""
    payload.append(payload) if isinstance(payload, list) else payload.update(me=payload)
    with pytest.raises(RecursionError, match="too deep"):
        contains_bytes(payload)
