"""What Prometheus itself says of the metrics, the alerts and the dashboard: its own tool reads them."""

import json
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from penstock.console.metrics import exposed
from penstock.console.probe import Latency
from penstock.console.sampler import Moment
from tests.consoles import Looks
from tests.pictures import counted, held, picture

DEPLOY = Path(__file__).parents[2] / "deploy"
RULES = DEPLOY / "prometheus-rules.yaml"
QUIET = {
    "penstock_unbalanced_runs": 0,
    "penstock_oldest_waiting_seconds": 0,
    "penstock_open_letters": 0,
    "penstock_refused_declarations": 0,
    "penstock_service_restarts_total": 0,
    'penstock_pipeline_state{state="broken"}': 0,
}
"""Series -> its value where nothing is wrong."""


def promtool(*arguments: str | Path, given: bytes = b"") -> str:
    found = shutil.which("promtool")
    if found is None:
        raise AssertionError("promtool is not installed; it is part of Debian's package prometheus, see .ci/run")
    done = subprocess.run([found, *arguments], input=given, capture_output=True, check=False)
    told = (done.stdout + done.stderr).decode()
    assert done.returncode == 0, told
    return told


def test_metrics_keep_the_conventions() -> None:
    flowing = picture(held((0, 12_345), missing_field=3), counted(11_243, 12_345, {0: 11_242}, rejected=39))
    moment = Moment(1, Looks(flowing).look(), {}, {"users": Latency(0.024, 0.18, 90)})
    assert promtool("check", "metrics", given=exposed(moment)) == ""


def test_queries_of_the_dashboard_are_sound(tmp_path: Path) -> None:
    panels = json.loads((DEPLOY / "grafana-dashboard.json").read_text("utf-8"))["panels"]
    queries = [target["expr"].replace("$pipeline", ".*") for panel in panels for target in panel["targets"]]
    rules = [{"record": f"panel:{number}", "expr": query} for number, query in enumerate(queries)]
    file = tmp_path / "panels.yaml"
    file.write_text(json.dumps({"groups": [{"name": "panels", "rules": rules}]}), "utf-8")
    assert f"{len(queries)} rules found" in promtool("check", "rules", file)


@pytest.mark.parametrize(
    ("series", "alerts"),
    [
        ({}, []),
        ({"penstock_unbalanced_runs": 1}, ["PenstockRecordsMissing"]),
        ({"penstock_deleted_unread_messages": 7}, ["PenstockRecordsMissing"]),
        ({'penstock_pipeline_state{state="broken"}': 1}, ["PenstockPipelineBroken"]),
        ({"penstock_oldest_waiting_seconds": 301}, ["PenstockRecordsWait"]),
        ({"penstock_open_letters": 1}, ["PenstockDeadLetters"]),
        ({"penstock_refused_declarations": 1}, ["PenstockDeclarationRefused"]),
        ({"penstock_last_look_timestamp_seconds": 0}, ["PenstockNobodyLooks"]),
        ({"penstock_last_look_timestamp_seconds": None}, ["PenstockNobodyLooks"]),
    ],
)
def test_alerts_fire_where_something_is_wrong_and_nowhere_else(
    tmp_path: Path, series: dict[str, int | None], alerts: Sequence[str]
) -> None:
    """In the picture of half an hour; None is a series that there is not."""
    every = {"penstock_last_look_timestamp_seconds": "0+60x40", **QUIET, **series}
    given = [
        {"series": name, "values": value if isinstance(value, str) else f"{value}x40"}
        for name, value in every.items()
        if value is not None
    ]
    query = "count by (alertname) (ALERTS{alertstate='firing'})"
    expected = [{"labels": f'{{alertname="{alert}"}}', "value": 1} for alert in alerts]
    asked = {"expr": query, "eval_time": "30m", "exp_samples": expected}
    test = {"interval": "1m", "input_series": given, "promql_expr_test": [asked]}
    file = tmp_path / "alerts.yaml"
    file.write_text(json.dumps({"rule_files": [str(RULES)], "evaluation_interval": "1m", "tests": [test]}), "utf-8")
    promtool("test", "rules", file)
