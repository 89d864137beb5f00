"""The pages of the deployments that have one, in a real browser, behind Debian's nginx."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from chromium import Browser, chromium
from deployments.clients import Address
from deployments.environment import Missing
from deployments.scenarios import currency_exchange, pg2
from deployments.site import HANGUP, Site
from hangup._demo.server import wait_until
from journal_app import JS

pytestmark = pytest.mark.deployments


@contextlib.contextmanager
def site(name: str, directory: Path) -> Iterator[Site]:
    """With hangup, and with Socket.IO's client as ``npm install`` leaves it."""
    try:
        with Site(name, HANGUP, directory) as opened:
            (opened.folder / "node_modules").symlink_to(JS / "node_modules")
            yield opened
    except Missing as missing:
        pytest.skip(str(missing))


def reads(browser: Browser, selector: str, *texts: str) -> None:
    """Waits until that is on the page, and nothing else."""
    found = f"[...document.querySelectorAll({json.dumps(selector)})].map((one) => one.innerText)"
    assert wait_until(lambda: browser("evaluate", found) == list(texts), 10), browser("evaluate", found)


def at(address: Address, path: str) -> str:
    return f"http://{address[0]}:{address[1]}{path}"


def test_two_people_in_the_playground_see_each_other_s_posts(tmp_path: Path) -> None:
    """Whichever workers they are at."""
    with (
        site("pg2", tmp_path / "site") as opened,
        chromium(tmp_path, "ada") as ada,
        chromium(tmp_path, "bob") as bob,
    ):
        address = pg2.start(opened)
        for browser, name in ((ada, "Ada"), (bob, "Bob")):
            browser("visit", at(address, f"/?name={name}"))
            reads(browser, "#state", "live")
        ada("fill", ["input", "<b>hello</b> from Ada"])
        ada("click", "button")
        reads(bob, "li", "Ada\n<b>hello</b> from Ada")
        bob("fill", ["input", "hello from Bob"])
        bob("click", "button")
        for browser in (ada, bob):
            reads(browser, "li", "Bob\nhello from Bob", "Ada\n<b>hello</b> from Ada")
            assert browser("complaints") == []
        ada("screenshot", str(tmp_path / "ada.png"))
        assert (tmp_path / "ada.png").stat().st_size > 5000
        assert "Traceback" not in opened.log()


def test_a_customer_sees_rates_change_and_converts(tmp_path: Path) -> None:
    """As the service's unit starts it."""
    with (
        site("currency-exchange", tmp_path / "site") as opened,
        currency_exchange.running(opened) as (_, address),
        chromium(tmp_path) as browser,
    ):
        browser("visit", at(address, "/"))
        reads(browser, "#state", "live")
        reads(browser, "li span", "EUR/USD", "GBP/USD", "USD/JPY", "USD/CHF")
        browser("wait", "document.querySelectorAll('li.up, li.down').length >= 2")
        browser("fill", ["input", "250"])
        browser("click", "button")
        browser("wait", "/^2\\d\\d\\.\\d\\d USD$/.test(document.querySelector('output').value)")
        browser("screenshot", str(tmp_path / "rates.png"))
        assert (tmp_path / "rates.png").stat().st_size > 5000
        assert browser("complaints") == []
        assert "Traceback" not in opened.log()
