"""What is shipped for operators: its metrics exist, Prometheus takes it, and alerts fire where they should."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hangup import _exposition, metrics

ROOT = Path(__file__).resolve().parents[2]
OPS = ROOT / "docs" / "ops"
RULES = OPS / "hangup.rules.yml"
DASHBOARD = OPS / "grafana.json"

pytestmark = pytest.mark.skipif(not OPS.is_dir(), reason="needs the source tree")


def promtool(*args: str) -> str:
    if shutil.which("promtool") is None:
        pytest.skip("promtool is not installed (Debian: prometheus)")
    done = subprocess.run(["promtool", *args], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def exported() -> set[str]:
    """The series that a scrape has, whatever their labels."""
    return set(re.findall(r"^(\w+)", _exposition.text(metrics.read()), re.MULTILINE))


def expressions(panel: dict[str, Any]) -> list[str]:
    return [target["expr"] for target in panel["targets"]]


def test_every_metric_of_the_rules_and_the_dashboard_is_exported() -> None:
    """And every metric that is exported and counts something is in one of them."""
    dashboard = json.loads(DASHBOARD.read_text())
    text = RULES.read_text() + json.dumps(dashboard)
    named = set(re.findall(r"\bhangup_\w+", text))
    assert named - exported() == set()
    counters = {name for name in exported() if name.endswith("_total")}
    unseen = {"hangup_closed_total", "hangup_detached_total", "hangup_refused_total"}
    assert counters - named == unseen


def test_the_labels_of_the_rules_and_the_dashboard_have_these_values() -> None:
    """{cause=~"transport|silent"} and the like match something."""
    table: dict[str, set[str]] = {}
    for labels in re.findall(r"\{(.*?)\}", _exposition.text(metrics.read())):
        for name, value in re.findall(r"(\w+)=\"([^\"]*)\"", labels):
            table.setdefault(name, set()).add(value)
    for name, values in re.findall(r"(cause|code|stack)=~?\"([^\"]+)\"", RULES.read_text()):
        assert set(values.split("|")) <= table[name]


def test_the_dashboard_is_whole() -> None:
    """Panels have distinct ids and places, a text, and at least one expression."""
    panels = json.loads(DASHBOARD.read_text())["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    assert len({(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in panels}) == len(panels)
    assert all(panel["description"] and expressions(panel) for panel in panels)


def test_prometheus_takes_the_rules_and_each_alert_fires_where_it_should() -> None:
    """promtool check rules; promtool test rules: tests/ops/rules_test.yml."""
    assert "SUCCESS" in promtool("check", "rules", str(RULES))
    assert "SUCCESS" in promtool("test", "rules", str(ROOT / "tests" / "ops" / "rules_test.yml"))
    alerts = set(re.findall(r"alert: (\w+)", RULES.read_text()))
    assert alerts == {alert for alert in alerts if alert in (ROOT / "tests/ops/rules_test.yml").read_text()}


def test_prometheus_takes_the_dashboard_s_expressions(tmp_path: Path) -> None:
    """As rules, with Grafana's variables in place."""
    rules = []
    for panel in json.loads(DASHBOARD.read_text())["panels"]:
        for number, expression in enumerate(expressions(panel)):
            told = expression.replace("$__rate_interval", "1m").replace("$instance", ".*")
            rules.append({"record": f"panel:{panel['id']}_{number}".replace(":", ":p"), "expr": told})
    path = tmp_path / "dashboard.yml"
    path.write_text(json.dumps({"groups": [{"name": "dashboard", "rules": rules}]}))  # JSON is YAML
    assert "SUCCESS" in promtool("check", "rules", str(path))


def test_prometheus_takes_the_text_format() -> None:
    """promtool check metrics finds nothing to say of types, names and texts."""
    if shutil.which("promtool") is None:
        pytest.skip("promtool is not installed (Debian: prometheus)")
    text = _exposition.text(metrics.read())
    done = subprocess.run(
        ["promtool", "check", "metrics"], input=text, capture_output=True, text=True, check=False, timeout=60
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stderr


def test_the_collector_says_what_the_text_says() -> None:
    """prometheus_client's output, parsed, is ours, parsed: names, labels, texts and values."""
    client = pytest.importorskip("prometheus_client")
    from hangup.prometheus import Collector
    from prometheus_client.parser import text_string_to_metric_families as parsed

    registry = client.CollectorRegistry()
    Collector(registry)

    def comparable(text: str) -> dict[str, Any]:
        return {
            one.name: (
                one.type,
                one.documentation,
                sorted((s.name, sorted(s.labels.items())) for s in one.samples),
            )
            for one in parsed(text)
        }

    assert comparable(client.generate_latest(registry).decode()) == comparable(
        _exposition.text(metrics.read())
    )


def test_the_collector_is_no_stranger_to_the_multiprocess_mode(tmp_path: Path) -> None:
    """One registry has the application's own metrics, of several processes, and hangup's."""
    pytest.importorskip("prometheus_client")
    code = """
import os, prometheus_client
from prometheus_client.multiprocess import MultiProcessCollector
import hangup.prometheus
own = prometheus_client.Counter("orders", "Of the application.")
if not os.fork():
    own.inc(2)
    os._exit(0)
os.wait()
own.inc(1)
registry = prometheus_client.CollectorRegistry()
MultiProcessCollector(registry)
hangup.prometheus.Collector(registry)
print(prometheus_client.generate_latest(registry).decode())
print(sorted(name.partition("_")[0] for name in os.listdir(os.environ["PROMETHEUS_MULTIPROC_DIR"])))
"""
    environment = {**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True, timeout=60
    )
    assert "orders_total 3.0\n" in done.stdout
    assert "hangup_ownership_violations_total 0.0\n" in done.stdout
    assert done.stdout.endswith("['counter', 'counter']\n")
