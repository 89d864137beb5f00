"""Bytes are found in payloads as python-socketio finds them."""

from __future__ import annotations

from typing import Any

import pytest
from hangup._hangup import contains_bytes
from hangup._websocket.packets import searching
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


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(JSON)
def test_packets_are_encoded_as_stock(payload: Any) -> None:
    """And read back the same."""
    native = searching(packet.Packet)
    encoded = native(packet.EVENT, data=["name", payload]).encode()
    assert encoded == packet.Packet(packet.EVENT, data=["name", payload]).encode()
    again = native(encoded_packet=encoded)
    assert repr(again.data) == repr(packet.Packet(encoded_packet=encoded).data)


@pytest.mark.parametrize("text", ["\ufeff[]", '["x",' + "1" * 101 + "]", "[", '["x"] y', '["x",NaN]'])
def test_what_stock_refuses_is_refused(text: str) -> None:
    """With a ValueError; and NaN is read."""
    outcomes = []
    for kind in (packet.Packet, searching(packet.Packet)):
        try:
            outcomes.append(repr(kind(encoded_packet="2" + text).data))
        except ValueError:
            outcomes.append("refused")
    assert outcomes[0] == outcomes[1]


def test_a_json_of_the_applications_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also one that comes later."""
    native = searching(packet.Packet)

    class Shouting:
        @staticmethod
        def dumps(data: Any, **_options: Any) -> str:
            return str(data).upper()

    monkeypatch.setattr(packet.Packet, "json", Shouting)
    assert native(packet.EVENT, data=["name"]).encode() == "2['NAME']"
