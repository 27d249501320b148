"""compose.yaml, Dockerfile and .env say what the code says: services, ports, names, networks, signals, memory."""

import base64
import re
import shutil
import subprocess
import sys
import tomllib
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from penstock.config import DownloadSettings, Hosts, Settings, read_settings
from penstock.launcher.service import Service
from penstock.servers.secrets import Secrets
from penstock.servers.shares import SHARES
from penstock.servers.stack import stack
from tests.reach import CLOSED, COMPOSE, SERVICES, USES, reached, table

ROOT = Path(__file__).parents[2]
SERVERS: dict[str, Any] = {name: one for name, one in SERVICES.items() if one.get("command", [""])[0] == "serve"}
HOME = "/var/lib/penstock"
GIVEN = "/credentials"
CONFIG = "PENSTOCK_CONFIG"
UNITS = {"m": 2**20, "g": 2**30}
MISSION_PORTS = {8080, 9092, 29092, 9090, 7077, 9042, 5432, 2181}


@cache
def declared(name: str) -> Service:
    """The definition that a service of Compose runs."""
    return next(one for one in stack(settings_of(name, "zookeeper")) if one.name == SERVERS[name]["command"][1])


def settings_of(name: str, kafka: str = "kraft") -> Settings:
    """What the service's process reads from its environment, where `.env` asks for this Kafka."""
    given = {key: filled(value) for key, value in SERVERS[name]["environment"].items() if key != CONFIG}
    return read_settings(
        {"PENSTOCK_HOME": HOME, "PENSTOCK_STACK_LISTEN": "0.0.0.0", **given, **secrets(), "PENSTOCK_STACK_KAFKA": kafka}
    )


def secrets() -> dict[str, str]:
    return {f"PENSTOCK_SECRETS_{name.upper()}": value for name, value in secrets_by_name().items()}


def secrets_by_name() -> dict[str, str]:
    return {**dict.fromkeys(Secrets.model_fields, "x"), "airflow_fernet_key": "0" * 43 + "="}


def filled(value: str) -> str:
    """A value as Compose has it where nothing is in `.env`: defaults, and a word for what must be given."""
    value = re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", value)
    return re.sub(r"\$\{\w+:\?[^}]*\}", "given", value)


def ports_of(name: str) -> list[int]:
    return [int(filled(port).split(":")[-1]) for port in SERVERS[name].get("ports", [])]


def size_bytes(text: str) -> int:
    return int(text[:-1]) * UNITS[text[-1]]


def seconds(text: str) -> int:
    return int(text.removesuffix("s"))


def test_every_server_of_the_stack_is_run_once() -> None:
    run = sorted(one["command"][1] for one in SERVERS.values())
    assert run == sorted(service.name for service in stack(settings_of("triggerer", "zookeeper")))
    always = {one["command"][1] for one in SERVERS.values() if "profiles" not in one}
    assert always == {service.name for service in stack(settings_of("broker", "kraft"))}
    assert {one["command"][0] for one in SERVERS.values()} == {"serve"}


@pytest.mark.parametrize("field", sorted(Hosts.model_fields))
def test_where_servers_find_each_other_is_where_compose_runs_them(field: str) -> None:
    host = getattr(settings_of("broker").hosts, field)
    meant = {"airflow": "airflow-api-server"}.get(field, field.replace("_", "-"))
    [found] = [name for name in SERVERS if host in {name, *aliases(name)}]
    assert SERVERS[found]["command"] == ["serve", meant]


def aliases(name: str) -> list[str]:
    """Names of a container in one of its networks."""
    networks = SERVERS[name]["networks"]
    return [] if isinstance(networks, list) else [one for each in networks.values() for one in each.get("aliases", [])]


@pytest.mark.parametrize(("name", "field"), [("spark-worker", "spark_worker"), ("stream", "stream")])
def test_executors_and_driver_listen_in_sparks_network_only(name: str, field: str) -> None:
    """A name in several networks is another address in each of them, and Spark listens on the one that it looks up."""
    host = getattr(settings_of(name).hosts, field)
    known = [network for network, one in SERVERS[name]["networks"].items() if host in one.get("aliases", [])]
    assert (host in SERVICES, known) == (False, SERVERS["spark-master"]["networks"])


def test_the_driver_listens_where_executors_call_it() -> None:
    settings = settings_of("stream")
    assert settings.spark.conf == {"spark.driver.bindAddress": settings.hosts.stream}


@pytest.mark.parametrize("name", SERVICES)
def test_a_container_reaches_every_server_that_it_uses(name: str) -> None:
    assert set(USES[name]) - reached(name) == set()


@pytest.mark.parametrize("name", SERVICES)
def test_no_container_can_reach_a_database_that_it_does_not_use(name: str) -> None:
    assert (reached(name) & {*CLOSED}) - {*USES[name]} == set()


@pytest.mark.parametrize("name", SERVERS)
def test_a_server_uses_all_that_it_needs(name: str) -> None:
    used = {declared(other).name for other in (*USES[name], name)}
    assert {*declared(name).needs, *declared(name).probed_through} <= used


def test_the_simulator_reaches_nothing_not_even_other_machines() -> None:
    assert reached("simulator") == set()
    assert [COMPOSE["networks"][one] for one in SERVERS["simulator"]["networks"]] == [{"internal": True}]


def test_who_reaches_what_is_the_table_of_the_documentation() -> None:
    assert table({name: reached(name) for name in SERVICES}) in (ROOT / "docs" / "docker.md").read_text("utf-8")


@pytest.mark.parametrize("name", SERVERS)
def test_published_ports_are_the_servers_own_and_closed_to_other_machines(name: str) -> None:
    assert set(ports_of(name)) <= set(declared(name).ports.values())
    assert all(port.startswith("${PENSTOCK_PUBLISH:-127.0.0.1}:") for port in SERVERS[name].get("ports", []))


def test_ports_of_the_mission_are_published() -> None:
    assert {port for name in SERVERS for port in ports_of(name)} >= MISSION_PORTS


@pytest.mark.parametrize(
    "name",
    ["stream", "console", "airflow-webserver", "scheduler", "dag-processor", "triggerer", "penstock", "admission"],
)
def test_who_needs_the_pipelines_sees_those_of_the_project(name: str) -> None:
    one = SERVICES[name]
    [mounted] = [volume for volume in one["volumes"] if volume.startswith("./pipelines:")]
    assert mounted == f"./pipelines:{one['environment']['PENSTOCK_PROJECT']}/pipelines:ro"
    assert (ROOT / "pipelines").is_dir()  # else the engine would make one that belongs to root


@pytest.mark.parametrize("name", SERVERS)
def test_a_server_waits_for_all_that_it_needs(name: str) -> None:
    waits = {other: one for other, one in SERVERS[name].get("depends_on", {}).items() if other in SERVERS}
    assert {declared(other).name for other in waits} >= set(declared(name).needs)
    assert all(one["condition"] == "service_healthy" for one in waits.values())


@pytest.mark.parametrize("name", SERVERS)
def test_a_server_is_stopped_as_the_launcher_stops_it(name: str) -> None:
    assert SERVERS[name].get("stop_signal", "SIGTERM") == declared(name).stop_signal.name
    assert seconds(SERVERS[name]["stop_grace_period"]) == declared(name).stop_timeout_s


@pytest.mark.parametrize("name", SERVERS)
def test_health_is_the_servers_own_answer_and_allows_for_its_start(name: str) -> None:
    health = SERVERS[name]["healthcheck"]
    assert health["test"] == ["CMD", "healthy", declared(name).name]
    assert seconds(health["start_period"]) >= declared(name).start_timeout_s


@pytest.mark.parametrize("name", SERVERS)
def test_memory_leaves_room_beside_the_heaps(name: str) -> None:
    heaps = [word.removeprefix("-Xmx") for word in declared(name).command if word.startswith("-Xmx")]
    settings = settings_of(name).heaps
    heaps += {"stream": [settings.spark_driver], "spark-worker": [settings.spark_executor]}.get(name, [])
    assert size_bytes(SERVERS[name]["mem_limit"]) >= 2 * sum(map(size_bytes, heaps))


@pytest.mark.parametrize("name", SERVERS)
def test_a_server_comes_back_and_may_do_nothing_more(name: str) -> None:
    server = SERVERS[name]
    assert (server["restart"], server["init"], server["cap_drop"]) == ("unless-stopped", True, ["ALL"])


def mounted_at(name: str, folder: str) -> list[str]:
    """The volumes that a container has there."""
    volumes = (volume.split(":") for volume in SERVICES[name].get("volumes", []))
    return [volume for volume, place, *_ in volumes if place == folder]


def test_every_container_that_is_given_credentials_sees_its_own() -> None:
    own = {name: [f"credentials-{name}"] for name in SHARES}
    seen = {declared(name).name: volumes for name in SERVERS if (volumes := mounted_at(name, GIVEN))}
    assert {**seen, "operator": mounted_at("penstock", GIVEN)} == own
    assert {name: mounted_at("authority", f"/shares/{name}") for name in SHARES} == own
    assert {one["environment"]["PENSTOCK_CREDENTIALS"] for one in SERVERS.values()} == {GIVEN}


def test_credentials_are_given_for_reading_only() -> None:
    given = [volume for one in SERVERS.values() for volume in one.get("volumes", []) if f":{GIVEN}" in volume]
    assert len(given) == len(SHARES) - 1
    assert all(volume.endswith(f":{GIVEN}:ro") for volume in given)


def test_volumes_belong_to_the_user_of_the_image() -> None:
    """An engine gives a new volume the owner of the folder that the image has there."""
    dockerfile = (ROOT / "Dockerfile").read_text("utf-8").replace("\\\n", "")
    [made] = re.findall(r"useradd .*$", dockerfile, re.MULTILINE)
    volumes = (volume.split(":") for one in SERVICES.values() for volume in one.get("volumes", []))
    places = {place for volume, place, *_ in volumes if volume in COMPOSE["volumes"]}
    assert places - {*made.split()} == set()


@pytest.mark.parametrize("name", ["authority", "admission"])
def test_who_makes_the_credentials_ends_and_runs_in_a_secure_stack_only(name: str) -> None:
    one = SERVICES[name]
    assert (one["profiles"], one["restart"], one["environment"]["PENSTOCK_CREDENTIALS"]) == (["secure"], "no", "")
    waiting = [other["depends_on"][name] for other in SERVERS.values() if name in other.get("depends_on", {})]
    assert waiting
    assert all(each == {"condition": "service_completed_successfully", "required": False} for each in waiting)


def test_who_is_given_credentials_waits_for_them() -> None:
    for name in (name for name in SERVERS if mounted_at(name, GIVEN)):
        assert {"authority", "admission"} & {*SERVERS[name]["depends_on"]}
    assert "authority" in SERVICES["admission"]["depends_on"]


def test_the_stream_and_its_executors_share_what_they_show_to_cassandra() -> None:
    folder = f"{HOME}/run/tls"
    assert mounted_at("stream", folder) == mounted_at("spark-worker", folder) == ["tls"]


@pytest.mark.parametrize("name", SERVERS)
def test_a_secure_stack_can_be_declared_with_what_compose_gives(name: str) -> None:
    given = {key: filled(value) for key, value in SERVERS[name]["environment"].items() if key != CONFIG}
    asked = {"PENSTOCK_HOME": HOME, "PENSTOCK_STACK_LISTEN": "0.0.0.0", **given, "PENSTOCK_STACK_SECURE": "true"}
    settings = read_settings(asked)
    assert (settings.stack.secure, settings.kafka.bootstrap_servers) == (True, "broker:9092")


@pytest.mark.parametrize(
    "name", ["postgres", "broker", "zookeeper", "cassandra", "spark-master", "stream", "console", "airflow-webserver"]
)
def test_state_is_in_a_named_volume(name: str) -> None:
    volume, folder = SERVERS[name]["volumes"][0].split(":")
    assert folder == f"{HOME}/data"
    assert volume in COMPOSE["volumes"]


def test_logs_of_airflows_tasks_are_in_a_volume_that_its_parts_share() -> None:
    mounts = [one["volumes"] for name, one in SERVERS.items() if declared(name).name.startswith("airflow-")]
    assert len(mounts) == 4
    assert all(f"airflow-logs:{HOME}/logs/airflow" in volumes for volumes in mounts)


def test_all_run_one_image_of_this_version() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["version"]
    assert {one["image"] for one in SERVICES.values()} == {f"penstock:{version}"}


def test_no_secret_is_in_an_environment_and_each_goes_where_it_is_needed() -> None:
    assert not [key for one in SERVICES.values() for key in one["environment"] if key.startswith("PENSTOCK_SECRETS_")]
    given = {name: [each["source"] for each in one["configs"]] for name, one in SERVICES.items() if "configs" in one}
    parts = {name: ["airflow"] for name in SERVERS if declared(name).name.startswith("airflow-")}
    asking = {name: ["airflow-credentials"] for name in ("console", "penstock")}
    assert given == {"postgres": ["postgres"], **parts, **asking}
    for name in given:
        [file] = SERVICES[name]["configs"]
        assert (file["target"], file["mode"]) == (SERVICES[name]["environment"][CONFIG], 0o444)


@pytest.mark.parametrize("content", [one["content"] for one in COMPOSE["configs"].values()], ids=COMPOSE["configs"])
def test_a_secret_with_any_sign_reaches_a_container_as_it_is(content: str, tmp_path: Path) -> None:
    odd = "a\"b'c\\d#e$f ''g é"
    named = re.findall(r"^(\w+) = ", content, re.MULTILINE)
    free = [name for name in named if name.endswith("password")]
    wanted = {**secrets_by_name(), **dict.fromkeys(free, odd)}
    text = re.sub(r"\$\{PENSTOCK_SECRETS_(\w+):\?[^}]*\}", lambda found: wanted[found[1].lower()], content)
    (tmp_path / "penstock.toml").write_text(text, "utf-8")
    settings = read_settings({CONFIG: str(tmp_path / "penstock.toml")})
    found = {name: getattr(settings.secrets, name) for name in named}
    assert {name: value if isinstance(value, str) else value.get_secret_value() for name, value in found.items()} == {
        name: wanted[name] for name in named
    }


def test_no_secret_has_a_default() -> None:
    text = (ROOT / "compose.yaml").read_text("utf-8")
    assert all(f"${{PENSTOCK_SECRETS_{name.upper()}:?" in text for name in Secrets.model_fields)
    example = (ROOT / ".env.example").read_text("utf-8")
    assert re.findall(r"^PENSTOCK_SECRETS_(\w+)=.", example, re.MULTILINE) == ["AIRFLOW_USERNAME"]


def test_base_image_is_pinned_by_digest() -> None:
    dockerfile = (ROOT / "Dockerfile").read_text("utf-8")
    assert re.search(r"^ARG BASE_IMAGE=python:3\.1[123]-slim-\w+@sha256:[0-9a-f]{64}$", dockerfile, re.MULTILINE)
    assert set(re.findall(r"^FROM (\S+)", dockerfile, re.MULTILINE)) == {"${BASE_IMAGE}", "packages"}


def test_the_image_says_where_the_home_is() -> None:
    dockerfile = (ROOT / "Dockerfile").read_text("utf-8")
    assert f"PENSTOCK_HOME={HOME} " in dockerfile
    assert re.search(r"^USER penstock$", dockerfile, re.MULTILINE)


def test_what_the_image_installs_are_the_locked_versions() -> None:
    def pins(name: str) -> set[str]:
        return set(re.findall(r"^\S+==\S+", (ROOT / name).read_text("utf-8"), re.MULTILINE))

    assert pins("requirements.runtime.lock") < pins("requirements.lock")


@pytest.mark.parametrize(("folder", "module"), [("rules", "network.downloads"), ("jars", "servers.jars.__main__")])
def test_what_the_build_runs_before_the_package_is_there_has_all_that_it_imports(
    folder: str, module: str, tmp_path: Path
) -> None:
    dockerfile = (ROOT / "Dockerfile").read_text("utf-8").replace("\\\n", "")
    for line in re.findall(rf"^COPY (src/.* {folder}/.*)$", dockerfile, re.MULTILINE):
        *sources, target = line.split()
        for source in sources:
            place = tmp_path / target
            if (ROOT / source).is_dir():
                shutil.copytree(ROOT / source, place)
            else:
                place.mkdir(parents=True, exist_ok=True)
                shutil.copy(ROOT / source, place)
    command = [sys.executable, "-c", f"import penstock.{module}"]
    subprocess.run(command, env={"PYTHONPATH": str(tmp_path / folder)}, check=True)


def test_settings_of_downloads_reach_the_build() -> None:
    dockerfile = (ROOT / "Dockerfile").read_text("utf-8")
    build = COMPOSE["x-penstock"]["build"]["args"]
    assert build == {name: f"${{{name}:-}}" for name in re.findall(r"^ARG (PENSTOCK_\w+)=$", dockerfile, re.MULTILINE)}
    assert set(build) == {f"PENSTOCK_DOWNLOADS_{name.upper()}" for name in DownloadSettings.model_fields}


def test_env_is_made_once_for_its_owner_with_secrets_that_work(tmp_path: Path) -> None:
    made = make_env(tmp_path)
    assert (tmp_path / ".env").stat().st_mode & 0o777 == 0o600
    assert make_env(tmp_path) == made
    assert len(base64.urlsafe_b64decode(made["PENSTOCK_SECRETS_AIRFLOW_FERNET_KEY"])) == 32
    assert min(len(made[f"PENSTOCK_SECRETS_{name.upper()}"]) for name in Secrets.model_fields) == len("admin")


def test_two_envs_share_no_secret(tmp_path: Path) -> None:
    one, other = make_env(tmp_path / "one"), make_env(tmp_path / "other")
    assert set(one.values()) & set(other.values()) == {"admin"}


def make_env(folder: Path) -> dict[str, str]:
    (folder / "scripts").mkdir(parents=True, exist_ok=True)
    shutil.copy(ROOT / "scripts" / "env", folder / "scripts")
    shutil.copy(ROOT / ".env.example", folder)
    subprocess.run([folder / "scripts" / "env"], check=True, capture_output=True)
    lines = (folder / ".env").read_text("ascii").splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))
