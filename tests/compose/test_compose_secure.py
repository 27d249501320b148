"""The secure stack of docs/docker.md for real: every client has credentials of its own. One test follows another."""

import json
from collections.abc import Iterator

import pytest
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from penstock.config import Ports
from penstock.launcher.service import NotReady
from penstock.servers import cql
from penstock.servers.access import SPARK
from penstock.servers.secrets import GIVEN_NAME
from penstock.servers.shares import SHARES
from tests.compose.engine import Engine, EngineError
from tests.compose.project import Project
from tests.compose.reached import measured
from tests.reach import SERVICES, reached

pytestmark = [pytest.mark.timeout(1_800), pytest.mark.thorough]
RECORDS = 500
GIVEN = {name: one["command"][1] for name, one in SERVICES.items() if one.get("command", ["", ""])[1] in SHARES}
"""Container -> the name of its share."""


@pytest.fixture(scope="module")
def secure(built: Project) -> Iterator[Project]:
    """The secure stack, everything healthy; the open one, which has the same published ports, is down."""
    built.compose("down")
    project = built.secure()
    try:
        project.up("secure")
        yield project
    finally:
        project.remove()


@pytest.fixture(scope="module")
def passwords(secure: Project) -> dict[str, str]:
    """Those that the stack's authority made."""
    home = secure.compose("run", "--rm", "-T", "--entrypoint", "cat", "authority", "/var/lib/penstock/secrets.json")
    found: dict[str, str] = json.loads(home)["passwords"]
    return found


def test_every_record_of_a_run_is_accounted_for(secure: Project) -> None:
    command = ("run", "--records", str(RECORDS))
    assert f"fetched {RECORDS} = stored {RECORDS} + dead-lettered 0" in secure.penstock(*command)


def test_a_stranger_is_not_let_in(secure: Project) -> None:
    assert secure.containers()["broker"]["State"]["Health"]["Status"] == "healthy"
    with pytest.raises(KafkaException):
        AdminClient({"bootstrap.servers": f"127.0.0.1:{Ports().kafka}", "log_level": 0}).list_topics(timeout=10)
    with pytest.raises(NotReady):
        cql.ask("127.0.0.1", Ports().cassandra)


@pytest.mark.parametrize("name", GIVEN)
def test_a_container_holds_its_own_credentials_only(secure: Project, passwords: dict[str, str], name: str) -> None:
    share = SHARES[GIVEN[name]]
    held = secure.compose("exec", "-T", name, "sh", "-c", f"cat /credentials/{GIVEN_NAME}; ls /credentials")
    told, _, files = held.partition("}")
    assert json.loads(told + "}") == {one: passwords[one] for one in share.passwords}
    own = {f"{one}.{kind}" for one in share.certificates for kind in ("crt", "key")}
    assert {*files.split()} == {"authority.crt", GIVEN_NAME, *own}
    with pytest.raises(EngineError, match="Read-only"):
        secure.compose("exec", "-T", name, "touch", "/credentials/other")


def test_a_client_cannot_be_another_one(secure: Project) -> None:
    with pytest.raises(EngineError, match="does not have the passwords of operator"):
        secure.compose("exec", "-T", "console", "penstock", "reconcile")


def test_no_password_is_in_an_environment_a_command_line_or_a_log(secure: Project, passwords: dict[str, str]) -> None:
    told = {name: json.dumps([one["Config"], one["HostConfig"]]) for name, one in secure.containers().items()}
    told["the logs"] = secure.compose("logs")
    running = [name for name, one in secure.containers().items() if one["State"]["Running"]]
    for name in running:
        ask = "cat /proc/[0-9]*/cmdline /proc/[0-9]*/environ 2>/dev/null; true"  # one may have ended meanwhile
        told[f"processes of {name}"] = secure.compose("exec", "-T", name, "sh", "-c", ask)
    env = [value for name, value in secure.env().items() if name.startswith("PENSTOCK_SECRETS_") and value != "admin"]
    # Spark gives its secret to an executor in that process's environment.
    known = {place: [*env, *(word for who, word in passwords.items() if who != SPARK)] for place in told}
    assert [place for place, words in known.items() if any(word in told[place] for word in words)] == []


def test_a_container_reaches_the_servers_in_its_networks_and_no_others(secure: Project) -> None:
    found, there = measured(secure), {*secure.containers()}
    assert {name: one - {"console"} for name, one in found.items()} == {name: reached(name) & there for name in found}


def test_after_down_and_up_clients_and_data_are_the_same(secure: Project, passwords: dict[str, str]) -> None:
    before = secure.penstock("reconcile", "--deep", "--json")
    secure.compose("down")
    secure.up("secure, second start")
    assert secure.penstock("reconcile", "--deep", "--json") == before
    home = secure.compose("run", "--rm", "-T", "--entrypoint", "cat", "authority", "/var/lib/penstock/secrets.json")
    assert json.loads(home)["passwords"] == passwords


def test_new_passwords_while_everything_runs(secure: Project, passwords: dict[str, str]) -> None:
    secure.compose("run", "--rm", "-T", "admission", "secrets", "rotate")
    secure.compose("run", "--rm", "-T", "authority")
    secure.compose("restart", "stream", "console", "scheduler")
    told = json.loads(secure.compose("exec", "-T", "stream", "cat", f"/credentials/{GIVEN_NAME}"))
    assert told["stream"] != passwords["stream"]
    secure.up("secure, after new passwords")
    assert "fetched 100 = stored 100 + dead-lettered 0" in secure.penstock("run", "--records", "100")


def test_half_of_the_switch_starts_nothing(built: Project, secure: Project) -> None:
    secure.compose("down")
    opened = Project(built.engine, secure.folder, secure.name)
    for name in ("broker", "cassandra"):
        with pytest.raises(EngineError, match="not started open"):
            opened.compose("run", "--rm", "-T", "--no-deps", name)
    with pytest.raises(EngineError, match="PENSTOCK_STACK_SECURE=true"):
        opened.compose("--profile", "secure", "run", "--rm", "-T", "authority")
    alone = Engine({**built.engine.environment, "PENSTOCK_STACK_SECURE": "true"})
    unmade = Project(alone, secure.folder, f"{secure.name}-half")
    try:
        with pytest.raises(EngineError, match="COMPOSE_PROFILES=secure"):
            unmade.compose("run", "--rm", "-T", "--no-deps", "broker")
    finally:
        unmade.remove()
