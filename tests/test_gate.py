"""Those who emit, and whoever takes a session out or in."""

from __future__ import annotations

import threading
import time

from hangup._siblings.gate import Gate


def test_whoever_is_alone_is_alone() -> None:
    """Whatever others do meanwhile, and they go on afterwards."""
    gate, inside, seen, ends = Gate(), [0], [], threading.Event()

    def enter() -> None:
        while not ends.is_set():
            with gate, gate:  # also twice
                inside.append(1)
                inside.pop()

    threads = [threading.Thread(target=enter) for _ in range(4)]
    for thread in threads:
        thread.start()
    for _ in range(200):
        with gate.alone(10.0) as is_alone:
            assert is_alone
            seen.append(len(inside))
            with gate:  # its own
                time.sleep(0.0001)
            seen.append(len(inside))
    ends.set()
    for thread in threads:
        thread.join(10)
    assert set(seen) == {1}


def test_who_waits_inside_is_not_waited_for_if_it_says_so() -> None:
    """It does not come back in before whoever is alone has left."""
    gate, waits, goes_on, back = Gate(), threading.Event(), threading.Event(), threading.Event()

    def wait() -> None:
        with gate:
            with gate.outside():
                waits.set()
                goes_on.wait(10)
            back.set()

    thread = threading.Thread(target=wait)
    thread.start()
    assert waits.wait(10)
    with gate.alone(10.0) as is_alone:
        assert is_alone
        goes_on.set()
        assert not back.wait(0.05)
    assert back.wait(10)
    thread.join(10)


def test_who_does_not_leave_is_not_waited_for_for_ever() -> None:
    """And is not interrupted."""
    gate, there, goes_on = Gate(), threading.Event(), threading.Event()

    def stay() -> None:
        with gate:
            there.set()
            goes_on.wait(10)

    thread = threading.Thread(target=stay)
    thread.start()
    assert there.wait(10)
    with gate.alone(0.01) as is_alone:
        assert not is_alone
    goes_on.set()
    thread.join(10)
    with gate.alone(0.0) as is_alone:
        assert is_alone


def test_who_is_alone_does_not_wait_for_itself() -> None:
    """What it emits may wait for a client: it is the one who keeps the gate shut."""
    gate = Gate()
    with gate.alone(1.0) as is_alone, gate, gate.outside():
        assert is_alone
    with gate:
        pass
