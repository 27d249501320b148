"""What a process of the stack has in its environment: nothing of the user's but what is meant for it, and no secret."""

import json
import os
import re
import stat
import sys
from collections.abc import Iterable
from configparser import ConfigParser
from pathlib import Path

import psutil
import pytest

from penstock.cli.support.spark import forget_other_sparks
from penstock.config import Settings, child_environment, ignored, pipeline_environment, read_settings
from penstock.doctor.environment import environment as environment_finding
from penstock.doctor.finding import Grade
from penstock.launcher.process import MARKER, spawn
from penstock.launcher.service import Service
from penstock.launcher.settings_file import SettingsFile
from penstock.launcher.watchdog import Watchdog
from penstock.servers.airflow import configuration
from penstock.servers.stack import stack
from tests.hostile_environment import HOSTILE
from tests.secured import changed

ALWAYS = {"PATH", "HOME", "USER", "LOGNAME", "TMPDIR", "LANG", "LC_ALL", "TZ"}
OF_SPARK = {"SPARK_HOME", "SPARK_CONF_DIR", "SPARK_LOCAL_IP", "SPARK_SCALA_VERSION", "JAVA_HOME", "MALLOC_ARENA_MAX"}
OF_PYSPARK = {*OF_SPARK, "PYSPARK_PYTHON", "PYSPARK_DRIVER_PYTHON", "SHARED_CLASSES", "LAUNCHERS_CLASSES"}
OF_PIPELINE = {"PYTHONUNBUFFERED", "PENSTOCK_CONFIG"}
OF_NETWORK = {"SSL_CERT_FILE", "SSL_CERT_DIR", "https_proxy", "no_proxy", "NO_PROXY"}
OF_AIRFLOW = {*OF_PIPELINE, "AIRFLOW_HOME", "AIRFLOW_CONFIG", "SPT_NOENV"}
DECLARED = {
    "postgres": frozenset[str](),
    "zookeeper": frozenset[str](),
    "kafka": frozenset[str](),
    "cassandra": frozenset[str](),
    "spark-master": OF_PYSPARK,
    "spark-worker": {*OF_PYSPARK, "LOADED_CLASSES"},
    "simulator": {"PENSTOCK_CONFIG"},
    "stream": {*OF_PYSPARK, *OF_PIPELINE, "LOADED_CLASSES"},
    "console": OF_PIPELINE,
    **dict.fromkeys(
        (f"airflow-{one}" for one in ("api-server", "scheduler", "dag-processor", "triggerer")), OF_AIRFLOW
    ),
}
SECRETS = {
    "PENSTOCK_SECRETS_POSTGRES_PASSWORD": "hidden-a",
    "PENSTOCK_SECRETS_AIRFLOW_PASSWORD": "hidden-b",
    "PENSTOCK_SECRETS_AIRFLOW_JWT_SECRET": "hidden-c",
    "PENSTOCK_SECRETS_AIRFLOW_FERNET_KEY": f"hidden-d{'0' * 35}=",
    "PENSTOCK_SECRETS_AIRFLOW_SECRET_KEY": "hidden-e",
    "PENSTOCK_SOURCE_URL_USERS": "https://api.example.com/?key=hidden-f",
    "PENSTOCK_KAFKA_SASL_PASSWORD": "hidden-g",
    "PENSTOCK_KAFKA_SSL_KEY_PASSWORD": "hidden-h",
    "PENSTOCK_CASSANDRA_PASSWORD": "hidden-i",
    "PENSTOCK_CASSANDRA_SSL_KEY_PASSWORD": "hidden-j",
    "PENSTOCK_SPARK_CONF": '{"spark.hadoop.fs.s3a.secret.key": "hidden-k"}',
    "PENSTOCK_AIRFLOW_PASSWORD": "hidden-l",
    "PENSTOCK_AIRFLOW_URL": "https://me:hidden-m@airflow.example.com",
}
NEEDED = {
    "simulator": "",
    "stream": "ghijk",
    "console": "bghijm",
    "airflow-scheduler": "fghij",
    "airflow-api-server": "",
    "airflow-dag-processor": "",
    "airflow-triggerer": "",
}
CREDENTIALS = {"stream": ("kafka", "cassandra", "spark"), "airflow-scheduler": ("source", "kafka", "cassandra")}


@pytest.fixture
def hostile(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in HOSTILE.items():
        monkeypatch.setenv(name, value)
    for name in ("PYTHONPATH", "http_proxy", "HTTP_PROXY", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    for name in OF_NETWORK:
        monkeypatch.setenv(name, "somewhere")


@pytest.fixture
def secret(settings: Settings) -> Settings:
    """Settings in which every secret is set."""
    everything = {name: value for name, value in settings.environment().items() if name not in SECRETS}
    optional = {"PENSTOCK_STACK_KAFKA": "zookeeper", "PENSTOCK_AIRFLOW_TRIGGERER": "true"}
    return read_settings({**everything, **SECRETS, **optional})


def secrets_in(text: str) -> str:
    """The letters of those that stand in it."""
    return "".join(sorted(set(re.findall(r"hidden-([a-m])", text))))


def by_name(services: Iterable[Service]) -> dict[str, Service]:
    return {service.name: service for service in services}


@pytest.mark.usefixtures("hostile")
@pytest.mark.parametrize("name", DECLARED)
def test_a_server_gets_what_it_declares_and_nothing_of_the_users(secret: Settings, name: str) -> None:
    given = child_environment(by_name(stack(secret))[name].environment)
    declared = DECLARED[name] | (OF_NETWORK if DECLARED[name] >= OF_PIPELINE else set())
    assert declared <= set(given) <= ALWAYS | declared
    assert (given["TZ"], given["LC_ALL"]) == ("UTC", given["LANG"])


def test_every_server_is_declared_above(secret: Settings) -> None:
    assert {service.name for service in stack(secret)} == set(DECLARED)


def test_what_no_pipeline_needs_is_not_started_unless_asked_for(settings: Settings) -> None:
    assert {service.name for service in stack(settings)} == set(DECLARED) - {"zookeeper", "airflow-triggerer"}


def test_no_server_has_a_secret_in_its_environment(secret: Settings) -> None:
    assert secrets_in(json.dumps([dict(service.environment) for service in stack(secret)])) == ""


@pytest.mark.parametrize("name", sorted(NEEDED.keys() - {"console"}))  # whose Airflow is the local one: see below
def test_settings_of_a_process_have_the_credentials_that_it_needs_and_no_others(secret: Settings, name: str) -> None:
    service = by_name(stack(secret))[name]
    file = SettingsFile(name, secret.with_credentials_of(*CREDENTIALS.get(name, ())))
    file.write()
    assert service.environment["PENSTOCK_CONFIG"] == str(file.path)
    assert secrets_in(file.path.read_text("utf-8")) == NEEDED[name]
    assert stat.S_IMODE(file.path.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.path.parent.stat().st_mode) == 0o700


@pytest.mark.parametrize("name", ["simulator", "stream", "console"])
def test_a_process_of_ours_is_prepared_with_a_file_of_its_settings(secret: Settings, name: str) -> None:
    service = by_name(stack(secret))[name]
    service.prepare()
    found = read_settings(service.environment)
    assert secrets_in(found.as_json()) == NEEDED[name]
    assert (found.ports, found.heaps, found.project) == (secret.ports, secret.heaps, secret.project)


def test_whole_settings_survive_the_file_of_the_supervisor(secret: Settings) -> None:
    file = SettingsFile("supervisor", secret)
    file.write()
    assert read_settings(file.environment) == secret


def test_a_full_disk_does_not_keep_a_file_from_being_what_it_is(settings: Settings) -> None:
    file = SettingsFile("supervisor", settings)
    file.write()
    before = file.path.stat()
    file.write()
    assert file.path.stat().st_ino == before.st_ino


@pytest.mark.usefixtures("hostile")
def test_a_real_process_sees_nothing_of_it(settings: Settings) -> None:
    done = spawn(printing_its_environment(settings), settings.home)
    assert done.wait(60) == 0
    seen = json.loads((settings.home / "log").read_text("utf-8"))
    assert set(seen) <= ALWAYS | {"DECLARED", MARKER, "LC_CTYPE"}  # the last is Python's own: PEP 538
    assert seen["DECLARED"] == "by the service"


def printing_its_environment(settings: Settings) -> Service:
    settings.home.mkdir()
    code = "import json, os; print(json.dumps(dict(os.environ)))"
    return Service(
        name="printer",
        command=(sys.executable, "-c", code),
        log=settings.home / "log",
        folder=settings.home,
        probe=lambda: None,
        environment={"DECLARED": "by the service"},
    )


@pytest.mark.usefixtures("hostile")
def test_the_watchdog_and_so_the_next_supervisor_see_nothing_of_it(secret: Settings) -> None:
    (secret.home / "logs").mkdir(parents=True)
    (secret.home / "run").mkdir()
    watchdog = Watchdog(secret, "nobody:nothing")
    process, child = watchdog.living()
    try:
        seen = dict(part.partition("=")[::2] for part in environ_of(process.pid))
        assert set(seen) <= ALWAYS | OF_PIPELINE | OF_NETWORK | {MARKER}
        assert read_settings(seen) == secret
    finally:
        watchdog.dismiss()
        assert child.wait(60) == 0


def environ_of(pid: int) -> list[str]:
    return [f"{name}={value}" for name, value in psutil.Process(pid).environ().items()]


# What does get through


def test_modules_of_the_pipeline_are_found_from_another_folder(settings: Settings) -> None:
    given = pipeline_environment(settings, {"PYTHONPATH": os.pathsep.join(("mine", "", "/theirs"))})
    assert given["PYTHONPATH"].split(os.pathsep) == [str(Path.cwd() / "mine"), str(Path.cwd()), "/theirs"]


def test_named_variables_are_passed_on_where_they_are_set(settings: Settings) -> None:
    named = changed(settings, stack={"pass_environment": " ORDERS_TOKEN, PYTHONWARNINGS,ABSENT"})
    environ = {"ORDERS_TOKEN": "x", "PYTHONWARNINGS": "error", "OTHER": "y"}
    given = pipeline_environment(named, environ)
    assert (given["ORDERS_TOKEN"], given["PYTHONWARNINGS"]) == ("x", "error")
    assert given.keys().isdisjoint({"ABSENT", "OTHER"})
    assert ignored(named, environ) == []


@pytest.mark.parametrize("wrong", ["A B", "A=b", "1A", "A;B"])
def test_what_is_no_name_of_a_variable_is_refused(wrong: str) -> None:
    with pytest.raises(Exception, match="pass_environment"):
        read_settings({"PENSTOCK_STACK_PASS_ENVIRONMENT": wrong})


def test_proxies_never_stand_between_the_servers(settings: Settings) -> None:
    there = changed(settings, hosts={"airflow": "airflow-webserver"})
    given = pipeline_environment(there, {"https_proxy": "http://proxy:3128", "NO_PROXY": "corp"})
    assert given["https_proxy"] == "http://proxy:3128"
    assert given["no_proxy"] == given["NO_PROXY"]
    assert {"corp", "127.0.0.1", "127.0.0.3", "localhost", "::1", "airflow-webserver"} <= set(
        given["no_proxy"].split(",")
    )
    assert pipeline_environment(there, {"http_proxy": "x", "no_proxy": "*"})["no_proxy"] == "*"
    assert "no_proxy" not in pipeline_environment(there, {"no_proxy": "corp"})


def test_authorities_are_found_from_another_folder(settings: Settings) -> None:
    given = pipeline_environment(settings, {"SSL_CERT_FILE": "corp.pem", "SSL_CERT_DIR": "/a:b"})
    assert (given["SSL_CERT_FILE"], given["SSL_CERT_DIR"]) == (str(Path.cwd() / "corp.pem"), f"/a:{Path.cwd() / 'b'}")


def test_a_process_without_an_environment_has_what_it_needs() -> None:
    given = child_environment({}, {})
    assert given["PATH"] == os.defpath
    assert "HOME" not in given


# Spark in the process of a command


def test_a_stream_by_hand_forgets_other_sparks(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("JAVA_TOOL_OPTIONS", "SPARK_LOCAL_DIRS", "PYSPARK_SUBMIT_ARGS", "HADOOP_CONF_DIR", "ORDERS_TOKEN"):
        monkeypatch.setenv(name, "x")
    forget_other_sparks(changed(settings, spark={"checkpoint": "hdfs://namenode/checkpoint"}))
    assert {name for name, value in os.environ.items() if value == "x"} == {"HADOOP_CONF_DIR", "ORDERS_TOKEN"}
    forget_other_sparks(settings)
    assert "HADOOP_CONF_DIR" not in os.environ


def test_a_stream_by_hand_keeps_what_it_was_told_to_keep(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JAVA_TOOL_OPTIONS", "-Dx=y")
    forget_other_sparks(changed(settings, stack={"pass_environment": "JAVA_TOOL_OPTIONS"}))
    assert os.environ["JAVA_TOOL_OPTIONS"] == "-Dx=y"


def test_java_of_the_user_is_judged_as_the_servers_will_run_it(
    settings: Settings, hostile: None, tmp_path: Path
) -> None:
    from penstock.servers.java import find_java

    java = tmp_path / "java" / "bin" / "java"
    java.parent.mkdir(parents=True)
    java.write_text(
        '#!/bin/sh\n[ -z "$JAVA_TOOL_OPTIONS" ] || exit 1\necho "    java.specification.version = 17" >&2\n'
    )
    java.chmod(0o755)
    assert find_java(settings.model_copy(update={"java_home": str(tmp_path / "java")})).runtime == tmp_path / "java"


# The doctor, and Airflow's file


def test_doctor_names_what_is_ignored_and_tells_no_value(settings: Settings) -> None:
    given = {"PATH": "/bin", "LANG": "de_DE.UTF-8", "PYTHONPATH": "/mine", "PYTHON_VERSION": "3.11", **HOSTILE}
    found = environment_finding(settings, given)
    assert found.grade == "note"
    assert [name for name in HOSTILE if name not in found.what] == []
    assert [value for value in HOSTILE.values() if value in found.what + found.fix] == []
    assert not {"PATH", "LANG", "PYTHONPATH", "PYTHON_VERSION"} & set(found.what.replace(",", "").split())


def test_doctor_names_the_variable_by_which_servers_are_known(settings: Settings) -> None:
    found = environment_finding(settings, {"LAUNCHED_BY_PENSTOCK": "kafka@/somewhere"})
    assert (found.grade, "unset LAUNCHED_BY_PENSTOCK" in found.fix) == (Grade.NOTE, True)


def test_doctor_has_nothing_to_say_of_a_plain_environment(settings: Settings) -> None:
    assert environment_finding(settings, {"PATH": "/bin", "LC_ALL": "C", "TZ": "Europe/Berlin"}).grade == "ok"


def test_airflow_reads_from_its_file_what_was_written() -> None:
    options = {"CORE__FERNET_KEY": "a=b", "DATABASE__SQL_ALCHEMY_CONN": "postgresql://a:%40%25(x)s@b/c", "CORE__A": ""}
    file = ConfigParser()  # Airflow's own is one
    file.read_string(configuration(options))
    read = {
        f"{section}__{option}".upper(): file.get(section, option)
        for section in file.sections()
        for option in file[section]
    }
    assert read == options
