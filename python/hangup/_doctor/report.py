"""What was found, as plain values for JSON and as plain lines: no control character of a foreign file is among them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from .facts import Facts
from .registry import Finding, Rule

#: In the order in which they matter.
SEVERITIES = ("error", "warning", "info")


def as_json(facts: Facts, findings: Iterable[Finding], seconds: float) -> dict[str, Any]:
    """One document."""
    return {
        "findings": [_finding(finding) for finding in findings],
        "looked_at": facts.looked_at,
        "notices": [
            {
                "text": notice.text,
                "file": notice.place.file if notice.place else None,
                "line": (notice.place.line or None) if notice.place else None,
            }
            for notice in facts.notices
            if not notice.code
        ],
        "taken_for_granted": list(granted(facts)),
        "services": [_service(service, facts) for service in facts.services],
        "seconds": round(seconds, 3),
    }


def _finding(finding: Finding) -> dict[str, Any]:
    value = finding.value
    return {
        "code": finding.code,
        "name": finding.rule.name,
        "severity": finding.rule.severity,
        "file": finding.place.file,
        "line": finding.place.line or None,
        "text": finding.text,
        "value": value
        if isinstance(value, (str, int, float, bool, type(None))) and value == value
        else str(value),
        "seen": finding.rule.seen,
        "mend": finding.rule.mend,
        "is_fixable": bool(finding.edits),
    }


def _service(service: Any, facts: Facts) -> dict[str, Any]:
    return {
        "server": service.server,
        "started_by": service.kind,
        "place": str(service.place),
        "worker": service.worker if service.server == "gunicorn" else None,
        "guarded": facts.is_native(service),
    }


def rule_as_json(rule: Rule) -> dict[str, Any]:
    """A rule, without its function."""
    return {
        "code": rule.code,
        "name": rule.name,
        "severity": rule.severity,
        "about": rule.series,
        "wrong": rule.wrong,
        "seen": rule.seen,
        "mend": rule.mend,
        "with_hangup": rule.hangup,
        "source": rule.source,
        "is_fixable": rule.is_mended,
        "django": f"hangup.{rule.django}" if rule.django else f"hangup.{rule.code}",
    }


def granted(facts: Facts) -> Iterator[str]:
    """What was taken for granted, because nothing says otherwise."""
    if not facts.services:
        yield "no server: nothing here starts one (give --command or --pid)"
    for service in facts.services:
        if service.kind == "configuration":
            yield f"gunicorn is started in the folder of {service.place.file}, with no options"
        for name in ("workers", "threads", "worker_class", "timeout", "keepalive"):
            value = service.settings.get(name)
            if value and value.assumed:
                yield f"{name} = {value.value} ({value.place}), if {value.assumed}"
            elif value and not value.is_known:
                yield f"{name} is computed ({value.place}): not judged"
    own = [each for each in facts.services if each.kind not in ("systemd", "container")]
    if own and facts.machine.pid is None:
        yield f"limits are this shell's: {facts.machine.open_files} descriptors"
    pinned = [package for package in facts.packages.values() if package.origin == "pinned"]
    if not pinned and facts.services:
        yield "versions are those installed here"


def lines(
    facts: Facts, findings: list[Finding], seconds: float, number_of_rules: int
) -> Iterator[tuple[str, str]]:
    """What people read: each line with its style, ``""``, ``dim``, ``title`` or a severity."""
    seen = ", ".join(dict.fromkeys(facts.looked_at)) or "nothing that says how a service is run"
    yield "dim", f"looked at: {seen}"
    for text in dict.fromkeys(granted(facts)):
        yield "dim", f"taken for granted: {text}"
    for notice in facts.notices:
        if not notice.code:
            yield "dim", f"not read: {f'{notice.place}: ' if notice.place else ''}{notice.text}"
    about = ""
    told: set[str] = set()
    for finding in findings:
        rule = finding.rule
        if rule.series != about:
            about = rule.series
            yield "title", about
        yield rule.severity, f"{rule.severity:>8} {finding.code} {finding.place}: {finding.text}"
        if finding.code not in told:
            told.add(finding.code)
            yield "", f"{'seen':>8} {rule.seen}"
            yield "", f"{'do':>8} {rule.mend}"
    yield "title" if findings else "", _sum(findings, seconds, number_of_rules)


def _sum(findings: list[Finding], seconds: float, number_of_rules: int) -> str:
    if not findings:
        return f"nothing found: {number_of_rules} rules, {seconds:.2f} s"
    counts = []
    for severity in SEVERITIES:
        number = sum(finding.rule.severity == severity for finding in findings)
        if number:
            counts.append(f"{number} {severity}{'s' if number > 1 and severity != 'info' else ''}")
    fixable = sum(bool(finding.edits) for finding in findings)
    more = f"; --fix mends {fixable} (--fix --diff shows how)" if fixable else ""
    return f"{', '.join(counts)} in {seconds:.2f} s{more}; --explain CODE says more"


def explained(rule: Rule) -> Iterator[tuple[str, str]]:
    """A rule, for people."""
    yield "title", f"{rule.code} {rule.name} ({rule.severity}, {rule.series})"
    yield "", rule.wrong
    for label, text in (
        ("seen", rule.seen),
        ("do", rule.mend),
        ("with hangup", rule.hangup),
        ("source", rule.source),
        ("--fix", "can" if rule.is_mended else "cannot: what is right depends on you"),
        ("in Django", f"hangup.{rule.django or rule.code}"),
    ):
        yield "", f"{label:>12}  {text}"
