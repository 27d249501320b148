"""The command line against the running stack, as a person and a script use it."""

import json
import subprocess
import sys
from uuid import uuid4

import psutil
import pytest

from penstock.config import Settings, child_environment
from penstock.launcher import control
from rig.stacks import penstock, start


@pytest.mark.parametrize("attempt", ["first", "second"])
def test_demo_ends_in_the_equation(stack_settings: Settings, attempt: str) -> None:
    done = penstock(stack_settings, "demo", "--records", "120")
    assert done.returncode == 0, f"{attempt} run: {done.stderr}"
    assert "fetched 120 = stored 120 + dead-lettered 0" in done.stdout
    assert f"http://127.0.0.1:{stack_settings.ports.airflow}" in done.stdout


def test_ingest_reports_in_json_and_rows_shows_them(stack_settings: Settings) -> None:
    run_id = f"test__{uuid4()}"
    ingested = penstock(stack_settings, "ingest", "--records", "10", "--run-id", run_id, "--json")
    report = json.loads(ingested.stdout)
    assert (report["run"], report["fetched"], report["acknowledged"]) == (run_id, 10, 10)
    shown = penstock(stack_settings, "rows", "--limit", "3", "--json")
    rows = [json.loads(line) for line in shown.stdout.splitlines()]
    assert [set(row) >= {"id", "email", "post_code"} for row in rows] == [True] * 3


def test_status_gives_each_service_with_pid_ports_memory_and_start(stack_settings: Settings) -> None:
    status = json.loads(penstock(stack_settings, "status", "--json").stdout)
    services = {service["name"]: service for service in status["services"]}
    assert {service["state"] for service in services.values()} == {"ready"}
    assert services["kafka"]["ports"] == {
        "outside": stack_settings.ports.kafka,
        "inside": stack_settings.ports.kafka_internal,
        "controller": stack_settings.ports.kafka_controller,
    }
    for service in services.values():
        assert psutil.pid_exists(service["pid"])
        assert service["memory_pss_bytes"] > 1_000_000
        assert service["started_at"].endswith("Z")


def test_log_in_is_shown_by_status_and_by_nothing_else(stack_settings: Settings) -> None:
    shown = penstock(stack_settings, "status").stdout
    password = next(line for line in shown.splitlines() if line.startswith("Airflow credentials")).split()[-1]
    logs = "".join(path.read_text("utf-8", "replace") for path in (stack_settings.home / "logs").glob("*.log"))
    assert password not in logs


def test_wrong_setting_is_one_line_and_exit_code_2(stack_settings: Settings) -> None:
    settings = stack_settings.environment() | {"PENSTOCK_KAFKA_PARTITIONS": "many"}
    command = [sys.executable, "-m", "penstock", "rows"]
    done = subprocess.run(command, env=child_environment(settings), capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert "PENSTOCK_KAFKA_PARTITIONS" in done.stderr
    assert "Traceback" not in done.stderr


def test_status_tells_the_truth_after_a_kill_and_the_service_comes_back(stack_settings: Settings) -> None:
    name = "simulator"  # of the others the rounds of faults tell, and what was lost with them
    before = control.status(stack_settings, memory=False).service(name)
    assert before.pid is not None
    victim = psutil.Process(before.pid)
    victim.kill()
    victim.wait(10)
    now = control.status(stack_settings, memory=False).service(name)
    assert now.pid != before.pid or now.state is not control.Phase.READY
    start(stack_settings)
    after = control.status(stack_settings, memory=False).service(name)
    assert after.state is control.Phase.READY
    assert after.pid != before.pid
