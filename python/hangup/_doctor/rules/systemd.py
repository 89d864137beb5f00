"""HUP5xx: units of systemd."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from .. import edits
from ..facts import Facts, Unit
from ..reading.units import limit, seconds
from ..registry import ERROR, INFO, WARNING, rule
from ..service import Service
from .machine import RESERVE, needed

_SERVICE = "systemd.service(5)"
#: Seconds for which a service should try to start: a database that restarts is back by then.
_LONG_ENOUGH = 10


def served(facts: Facts) -> Iterator[tuple[Service, Unit]]:
    """The services that a unit starts directly, each unit once."""
    for service in facts.services:
        if service.unit is not None and service.kind == "systemd":
            yield service, service.unit


@rule(
    "HUP500", "unit-unreadable", ERROR,
    wrong="A line of a unit is neither a section nor an assignment, or the unit cannot be read.",
    seen="systemd ignores the line: \"Assignment outside of section\", \"Missing '='\" in the journal.",
    mend="`systemd-analyze verify UNIT` says the same.",
    hangup="no difference.",
    source="systemd.syntax(7)",
)  # fmt: skip
def unreadable(facts: Facts) -> Iterator[Any]:
    for notice in facts.notices:
        if notice.code == "HUP500" and notice.place:
            yield notice.place, notice.text


@rule(
    "HUP501", "watchdog-that-nobody-pets", ERROR,
    wrong="`WatchdogSec`, and the server never says that it is alive: gunicorn only ever says READY.",
    seen="\"Watchdog timeout (limit 30s)!\", SIGABRT, a restart every so many seconds, with all clients.",
    mend="Take it out, or start the service by `hangup watch`, which pets the watchdog while the workers are "
    "healthy.",
    hangup="no difference in gunicorn itself.",
    source=_SERVICE + " WatchdogSec=; sd_notify(3); gunicorn, systemd.py",
    is_mended=True,
)  # fmt: skip
def watchdog(facts: Facts) -> Iterator[Any]:
    for service, unit in served(facts):
        value = unit.value("Service", "WatchdogSec")
        if value and seconds(value) not in (0, None):
            place = unit.where("Service", "WatchdogSec")
            yield (
                place,
                f"WatchdogSec={value} with {service.server}",
                value,
                edits.unit_without(place, "WatchdogSec"),
            )


@rule(
    "HUP502", "forking-without-a-fork", ERROR,
    wrong="`Type=forking`, and the server stays in the foreground.",
    seen="`systemctl start` hangs for 90 s; then \"start operation timed out. Terminating.\"",
    mend="`Type=notify` for gunicorn, else `Type=exec`.",
    hangup="no difference.",
    source=_SERVICE + " Type=",
    is_mended=True,
)  # fmt: skip
def forking(facts: Facts) -> Iterator[Any]:
    for service, unit in served(facts):
        if unit.value("Service", "Type") == "forking" and service.setting("daemon").value is False:
            place = unit.where("Service", "Type")
            kind = "notify" if service.server == "gunicorn" and not service.is_wrapped else "exec"
            yield (
                place,
                f"Type=forking, and {service.server} does not",
                "forking",
                edits.unit_value(place, "Type", kind),
            )


@rule(
    "HUP503", "notify-from-nobody", ERROR,
    wrong="`Type=notify`, and what is started never says that it is ready.",
    seen="`systemctl start` hangs for 90 s; then \"start operation timed out. Terminating.\", again and again.",
    mend="`Type=exec` for uvicorn, daphne and hypercorn; for gunicorn behind a shell `exec gunicorn …`.",
    hangup="no difference.",
    source=_SERVICE + " Type=, NotifyAccess=",
    is_mended=True,
)  # fmt: skip
def notify(facts: Facts) -> Iterator[Any]:
    for service, unit in served(facts):
        kind = unit.value("Service", "Type") or ""
        accepted = (unit.value("Service", "NotifyAccess") or "main") in ("all", "exec")
        silent = service.server != "gunicorn" or (service.is_wrapped and not accepted)
        if kind.startswith("notify") and silent:
            place = unit.where("Service", "Type")
            what = (
                f"{service.server} {'behind a shell ' if service.is_wrapped else ''}does not say it is ready"
            )
            yield place, f"Type={kind}, and {what}", kind, edits.unit_value(place, "Type", "exec")


@rule(
    "HUP504", "started-before-it-listens", INFO,
    wrong="gunicorn under `Type=simple`, the default: it counts as started before it listens.",
    seen="What is ordered after it, and `systemctl restart … && curl …`, may find nobody; a wrong start is "
    "reported late.",
    mend="`Type=notify`: gunicorn says when it listens.",
    hangup="no difference.",
    source=_SERVICE + " Type=; docs.gunicorn.org/en/stable/deploy.html#systemd",
    is_mended=True,
)  # fmt: skip
def simple(facts: Facts) -> Iterator[Any]:
    for service, unit in served(facts):
        kind = unit.value("Service", "Type") or "simple"
        if service.server == "gunicorn" and kind in ("simple", "exec") and not service.is_wrapped:
            place = unit.where("Service", "Type")
            given = unit.value("Service", "Type")
            change = (
                edits.unit_value(place, "Type", "notify")
                if given
                else edits.unit_insert(unit.place, "Type=notify")
            )
            yield place, f"Type={kind} with gunicorn", kind, change


@rule(
    "HUP505", "too-few-descriptors-in-the-unit", WARNING,
    wrong="`LimitNOFILE` is missing, or less than the clients that a worker accepts: systemd's default is 1024.",
    seen="\"OSError: [Errno 24] Too many open files\"; gthread's worker ends with all its clients, eventlet's never "
    "accepts again.",
    mend="`LimitNOFILE=65536`.",
    hangup="nobody is dropped, but new clients wait in the backlog: the limit is the same.",
    source="systemd.exec(5) LimitNOFILE=; getrlimit(2)",
    is_mended=True,
)  # fmt: skip
def descriptors(facts: Facts) -> Iterator[Any]:
    for service, unit in served(facts):
        given = unit.value("Service", "LimitNOFILE")
        allowed = 1024.0 if given is None else limit(given)
        wanted = needed(service, facts)
        if service.is_asgi and facts.gives_websockets(service):
            wanted = facts.clients + RESERVE
        if allowed is not None and wanted is not None and allowed < wanted:
            place = unit.where("Service", "LimitNOFILE")
            change = (
                edits.unit_insert(unit.place, "LimitNOFILE=65536")
                if given is None
                else edits.unit_value(place, "LimitNOFILE", "65536")
            )
            text = f"{wanted} may be needed, {'the default is' if given is None else 'LimitNOFILE is'} {allowed:g}"
            yield place, text, given, change


@rule(
    "HUP506", "workers-left-behind", ERROR,
    wrong="`KillMode=process` or `none`: when the master ends, its workers may stay.",
    seen="\"[Errno 98] Address already in use\" at the next start, and an old version that still answers.",
    mend="`KillMode=mixed`: TERM for the master, KILL for what is left.",
    hangup="no difference.",
    source="systemd.kill(5)",
    is_mended=True,
)  # fmt: skip
def kill_mode(facts: Facts) -> Iterator[Any]:
    for _, unit in served(facts):
        mode = unit.value("Service", "KillMode")
        if mode in ("process", "none"):
            place = unit.where("Service", "KillMode")
            yield place, f"KillMode={mode}", mode, edits.unit_value(place, "KillMode", "mixed")


@rule(
    "HUP507", "killed-before-graceful-timeout", WARNING,
    wrong="`TimeoutStopSec` is not longer than `graceful_timeout`: systemd kills what gunicorn still waits for.",
    seen="\"State 'stop-sigterm' timed out. Killing.\"; requests and transactions are cut off.",
    mend="Some seconds more than `graceful_timeout`.",
    hangup="WebSockets are gone within 4 s, requests are still waited for.",
    source=_SERVICE + " TimeoutStopSec=",
    is_mended=True,
)  # fmt: skip
def stop_timeout(facts: Facts) -> Iterator[Any]:
    for service, unit in served(facts):
        given = unit.value("Service", "TimeoutStopSec") or unit.value("Service", "TimeoutSec")
        waits, graceful = seconds(given), service.number("graceful_timeout")
        if service.server == "gunicorn" and waits and graceful is not None and waits <= graceful:
            key = "TimeoutStopSec" if unit.value("Service", "TimeoutStopSec") else "TimeoutSec"
            place = unit.where("Service", key)
            change = edits.unit_value(place, key, str(graceful + 10))
            yield place, f"{key}={given}, graceful_timeout is {graceful} s", given, change


@rule(
    "HUP508", "not-restarted", WARNING,
    wrong="No `Restart=`: a service that crashed stays down.",
    seen="502 from the proxy until somebody looks.",
    mend="`Restart=on-failure`, with `RestartSec=5`.",
    hangup="no difference.",
    source=_SERVICE + " Restart=",
    is_mended=True,
)  # fmt: skip
def restart(facts: Facts) -> Iterator[Any]:
    for _, unit in served(facts):
        value = unit.value("Service", "Restart")
        if value in (None, "", "no") and unit.value("Service", "Type") != "oneshot":
            place = unit.where("Service", "Restart")
            change = (
                edits.unit_insert(unit.place, "Restart=on-failure", "RestartSec=5")
                if value is None
                else edits.unit_value(place, "Restart", "on-failure")
            )
            yield place, "a crash is the end" if value is None else f"Restart={value}", value, change


@rule(
    "HUP509", "given-up-after-a-second", WARNING,
    wrong="`Restart=` so fast that systemd's own limit ends it: 5 starts in 10 s, 0.1 s apart unless "
    "`RestartSec` is set.",
    seen="\"Start request repeated too quickly.\" and \"Failed with result 'start-limit-hit'\": down for good, "
    "because "
    "the database was away for a second.",
    mend="`RestartSec=5`, or `StartLimitIntervalSec=0` in `[Unit]`.",
    hangup="no difference.",
    source=_SERVICE + " RestartSec=; systemd.unit(5) StartLimitIntervalSec=",
    is_mended=True,
)  # fmt: skip
def start_limit(facts: Facts) -> Iterator[Any]:
    for _, unit in served(facts):
        if unit.value("Service", "Restart") in (None, "", "no"):
            continue
        given = unit.value("Service", "RestartSec")
        pause = 0.1 if given is None else seconds(given)
        interval = seconds(unit.value("Unit", "StartLimitIntervalSec") or "10s")
        burst = unit.value("Unit", "StartLimitBurst") or "5"
        if pause is None or interval is None or not burst.isdigit() or len(burst) > 9:
            continue
        if interval and pause * int(burst) < min(interval, _LONG_ENOUGH):
            place = unit.where("Service", "RestartSec")
            wanted = max(5, -(-_LONG_ENOUGH // max(1, int(burst))))
            change = (
                edits.unit_insert(unit.place, f"RestartSec={wanted}")
                if given is None
                else edits.unit_value(place, "RestartSec", str(wanted))
            )
            text = f"{burst} starts {pause:g} s apart, then none for {interval:g} s and more"
            yield place, text, given, change


@rule(
    "HUP510", "limit-in-the-wrong-section", WARNING,
    wrong="`StartLimitIntervalSec` stands in `[Service]`, where systemd does not know it.",
    seen="\"Unknown key 'StartLimitIntervalSec' in section [Service], ignoring.\" in the journal.",
    mend="Put it into `[Unit]`.",
    hangup="no difference.",
    source="systemd.unit(5)",
)  # fmt: skip
def wrong_section(facts: Facts) -> Iterator[Any]:
    for _, unit in served(facts):
        if unit.value("Service", "StartLimitIntervalSec") is not None:
            yield unit.where("Service", "StartLimitIntervalSec"), "it is ignored in [Service]", None
