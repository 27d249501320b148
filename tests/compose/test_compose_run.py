"""The Docker commands of docs/docker.md for real, then what no user wishes for: killed servers, and everything removed
but the data. The tests follow one another on one stack.
"""

import json
import re
from datetime import UTC, datetime

import httpx
import pytest

from penstock.config import Settings
from penstock.kafka import Broker, Message
from penstock.servers import cql
from penstock.servers.probe import json_answer
from penstock.users import USERS
from tests.compose.project import IMAGE, Project
from tests.compose.reached import measured
from tests.reach import SERVERS, reached, table
from tests.waiting import until

pytestmark = pytest.mark.timeout(1_800)
RECORDS = 1_000
LOAD = 20_000
RUN_TIMEOUT_S = 900


def test_every_service_is_healthy(project: Project) -> None:
    states = {name: one["State"]["Health"]["Status"] for name, one in project.containers().items()}
    assert states == dict.fromkeys(states, "healthy")
    assert len(states) >= 11


def test_a_container_reaches_the_servers_in_its_networks_and_no_others(project: Project) -> None:
    found = measured(project)
    print(table({name: found[name] & {*SERVERS} for name in found}))  # noqa: T201 - as docs/docker.md has it
    there = {*project.containers()}
    pages = {"console"}  # which has no client in a container, and is reached by those in its networks
    assert {name: one - pages for name, one in found.items()} == {name: reached(name) & there for name in found}


def test_no_secret_is_in_the_environment_of_a_container(project: Project) -> None:
    secrets = [
        value for name, value in project.env().items() if name.startswith("PENSTOCK_SECRETS_") and len(value) > 8
    ]
    assert len(secrets) == 5
    told = {name: json.dumps([one["Config"], one["HostConfig"]]) for name, one in project.containers().items()}
    assert [name for name, text in told.items() if any(secret in text for secret in secrets)] == []


def test_one_command_runs_the_dag_and_shows_the_equation(project: Project) -> None:
    assert f"fetched {RECORDS} = stored {RECORDS} + dead-lettered 0" in project.penstock(
        "run", "--records", str(RECORDS)
    )
    project.figures["memory after a run"] = project.memory()


def test_this_machine_reaches_the_published_servers(project: Project, broker: Broker) -> None:
    ports = Settings().ports
    cql.ask("127.0.0.1", ports.cassandra)
    assert json_answer(ports.airflow, "/api/v2/monitor/health")["scheduler"]["status"] == "healthy"
    assert messages(broker) >= RECORDS


def test_console_of_the_containers_sees_every_server_and_the_run(project: Project) -> None:
    told = re.search(r"(http://127\.0\.0\.1:8088)/\?token=(\S+)", project.compose("logs", "console"))
    assert told
    url, token = told.groups()
    with httpx.Client(base_url=url, headers={"Authorization": f"Bearer {token}"}) as client:
        [seen] = until(lambda: client.get("/api/overview").json()["pipelines"])
        assert {seen[name]["standing"] for name in ("kafka", "cassandra", "airflow", "stream")} == {"answers"}
        assert seen["runs"][0]["state"] == "balances"
        assert "penstock_items" in client.get("/metrics").text


def test_no_server_is_root_and_none_needs_a_network_to_start(project: Project) -> None:
    assert {project.compose("exec", "-T", name, "id", "-u").strip() for name in project.containers()} == {"10001"}
    alone = ("run", "--rm", "--network=none", "--entrypoint", "sh", IMAGE, "-c")
    project.engine.docker(
        *alone, "penstock serve kafka & for i in $(seq 60); do penstock ready kafka && exit; done; exit 1"
    )


@pytest.mark.thorough
@pytest.mark.parametrize("service", ["broker", "cassandra"])
def test_a_server_killed_under_load_costs_nothing(project: Project, broker: Broker, service: str) -> None:
    before, restarts = messages(broker), project.restarts(service)
    with project.begin("run", "--records", str(LOAD)) as running:
        until(lambda: messages(broker) > before)
        project.kill(service)
        assert running.poll() is None
        output, _ = running.communicate(timeout=RUN_TIMEOUT_S)
    assert f"fetched {LOAD} = stored {LOAD} + dead-lettered 0" in output
    assert project.restarts(service) == restarts + 1
    assert len(balances(project)) >= 2


@pytest.mark.thorough
def test_data_are_still_there_after_down_and_up(project: Project) -> None:
    before = balances(project)
    project.compose("down")
    assert project.compose("ps", "--all", "--quiet") == ""
    project.up("second start")
    assert balances(project) == before
    assert "fetched 100 = stored 100" in project.penstock("run", "--records", "100")


@pytest.mark.thorough
def test_kafka_and_zookeeper_killed_together_come_back(built: Project, broker: Broker) -> None:
    built.compose("down")
    other = built.with_zookeeper()
    try:
        other.up("with ZooKeeper", "broker")
        broker.ensure_topics(USERS)
        sent = [Message(USERS.topic, b"key", b"value", {}, datetime.now(UTC))] * 100
        broker.publish(sent)
        for service in ("zookeeper", "broker"):
            other.kill(service)
        until(lambda: other.restarts("zookeeper") == other.restarts("broker") == 1)
        other.up("both killed", "broker")
        assert messages(broker) == 100
    finally:
        other.remove()


def messages(broker: Broker) -> int:
    """How many the topic has ever had."""
    return sum(offsets.end for offsets in broker.offsets(USERS.topic).values())


def balances(project: Project) -> list[dict[str, object]]:
    """What the deep reconciliation says of each run; it ends with 0 only if all balance."""
    lines = project.penstock("reconcile", "--deep", "--json").splitlines()
    return [json.loads(line) for line in lines]
