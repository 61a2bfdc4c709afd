"""The files of examples/monitoring and docs/metrics.md agree with the metrics that exist."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from analysis.metrics.definitions import DEFINITIONS, PREFIX, MetricKind, metrics_table
from verbatim.commands.metrics import command

ROOT = Path(__file__).resolve().parent.parent
MONITORING = ROOT / "examples" / "monitoring"


def expressions() -> list[str]:
    """All queries of the rules and of the dashboard."""
    rules = yaml.safe_load((MONITORING / "verbatim-rules.yml").read_text())
    board = json.loads((MONITORING / "grafana-dashboard.json").read_text())
    targets = [target for panel in board["panels"] for target in panel.get("targets", [])]
    variables = [each["query"]["query"] for each in board["templating"]["list"] if each["type"] == "query"]
    alerts = [rule["expr"] for group in rules["groups"] for rule in group["rules"]]
    return [*alerts, *variables, *(target["expr"] for target in targets)]


def series_names() -> dict[str, tuple[str, ...]]:
    """The names that a query may use, with their labels."""
    found = {}
    for name, definition in DEFINITIONS.items():
        if definition.kind is MetricKind.HISTOGRAM:
            for part in ("bucket", "sum", "count"):
                found[f"{PREFIX}{name}_{part}"] = (*definition.labels, *(["le"] if part == "bucket" else []))
        else:
            found[PREFIX + name] = definition.labels
    return found


def test_the_page_has_the_table_of_the_code() -> None:
    text = (ROOT / "docs" / "metrics.md").read_text()
    drawn = text.split("differs from the code -->")[1].split("<!-- /metrics -->")[0]
    assert drawn.strip() == metrics_table()


def test_rules_and_dashboard_use_metrics_that_exist() -> None:
    known, used = series_names(), set()
    for expression in expressions():
        names = re.findall(rf"\b{PREFIX}\w+", expression)
        used |= {*names}
        for name, selector in re.findall(rf"\b({PREFIX}\w+)\{{([^}}]*)\}}", expression):
            labels = {*re.findall(r"(\w+)\s*(?:=~|!=|!~|=)", selector)} - {"instance", "job"}
            assert labels <= {*known[name]}, expression
    assert used - known.keys() == set()
    assert len(used) > 30


def test_each_alert_says_what_happened_and_how_bad_it_is() -> None:
    rules = yaml.safe_load((MONITORING / "verbatim-rules.yml").read_text())
    alerts = [rule for group in rules["groups"] for rule in group["rules"]]
    assert len({rule["alert"] for rule in alerts}) == len(alerts) > 10
    for rule in alerts:
        assert rule["labels"]["severity"] in ("warning", "critical"), rule
        assert rule["annotations"]["summary"].endswith("."), rule


def test_the_dashboard_is_whole() -> None:
    board: dict[str, Any] = json.loads((MONITORING / "grafana-dashboard.json").read_text())
    panels = board["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    cells = [
        (x, y)
        for place in (panel["gridPos"] for panel in panels)
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]
    assert len(set(cells)) == len(cells), "two panels share a cell"
    assert max(x for x, _ in cells) == 23
    assert all(panel["targets"] for panel in panels if panel["type"] != "row")


def test_prometheus_scrapes_the_default_port() -> None:
    config = yaml.safe_load((MONITORING / "prometheus.yml").read_text())
    [[target]] = [each["targets"] for job in config["scrape_configs"] for each in job["static_configs"]]
    [port] = [parameter.default for parameter in command.params if parameter.name == "port"]
    assert target == f"127.0.0.1:{port}"
    assert [(MONITORING / name).exists() for name in config["rule_files"]] == [True]


@pytest.mark.skipif(shutil.which("promtool") is None, reason="Debian's package prometheus is not installed")
def test_promtool_accepts_the_rules() -> None:
    checked = subprocess.run(
        ["promtool", "check", "config", MONITORING / "prometheus.yml"], capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr
    tests = ["promtool", "test", "rules", MONITORING / "verbatim-rules-test.yml"]
    tested = subprocess.run(tests, capture_output=True, text=True, check=False)
    assert tested.returncode == 0, tested.stdout + tested.stderr
