"""The doctor at real servers that are set up wrongly."""

import socket
from collections.abc import Callable, Iterator
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

import pytest
from confluent_kafka.admin import (
    AclBinding,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
)

from penstock.cassandra import Store
from penstock.config import Settings, StackSettings
from penstock.doctor import Finding, Grade
from penstock.doctor.cassandra import cassandra
from penstock.doctor.kafka import kafka
from penstock.doctor.postgres import postgres
from penstock.doctor.spark import pages, spark
from penstock.doctor.versions import CASSANDRA, KAFKA, POSTGRES
from penstock.kafka import Broker
from penstock.launcher.service import Service
from penstock.pipelines.contract import Pipeline
from penstock.servers.java import Java
from penstock.servers.kafka import kafka as service
from penstock.servers.postgres import postgres as postgres_service
from penstock.servers.secrets import FILE_NAME, load_secrets
from penstock.servers.spark import spark_master
from penstock.servers.zookeeper import zookeeper
from rig.stacks import settings_in
from tests.secured import changed
from tests.services.servers import running
from tests.strangers import alter


def failures(findings: Iterator[Finding]) -> dict[str, Finding]:
    return graded(findings, Grade.FAILED)


def _with(*lines: str) -> Callable[[Settings, Java], Service]:
    """A broker with more lines in its configuration; of two of one name the last one counts."""

    def declared(settings: Settings, java: Java) -> Service:
        usual = service(settings, java)

        def prepare() -> None:
            usual.prepare()
            with (usual.folder / "server.properties").open("a") as file:
                file.write("\n".join(("", *lines, "")))

        return replace(usual, prepare=prepare)

    return declared


def graded(findings: Iterator[Finding], grade: Grade) -> dict[str, Finding]:
    return {one.subject: one for one in findings if one.grade is grade}


def test_nothing_is_wrong_with_a_guarded_cluster(guarded: Settings, own: Pipeline) -> None:
    assert failures(kafka(guarded, own)) == failures(cassandra(guarded, own)) == {}


def test_wrong_passwords(guarded: Settings, own: Pipeline) -> None:
    wrong = changed(guarded, kafka={"sasl_password": "wrong"}, cassandra={"password": "wrong"})
    assert "sasl_" in failures(kafka(wrong, own))["kafka"].fix
    assert "cassandra.username" in failures(cassandra(wrong, own))["cassandra"].fix


def test_topic_with_too_few_copies(guarded: Settings, own: Pipeline) -> None:
    with Broker(guarded.kafka) as broker:
        broker.ensure_topics(own)
    found = failures(kafka(changed(guarded, kafka={"replication_factor": 3}), own))
    assert "there are 1 brokers" in found["kafka replication"].what
    assert f"topic {own.topic}" in found


def test_topic_that_breaks_the_promise(guarded: Settings, own: Pipeline) -> None:
    with Broker(guarded.kafka) as broker:
        broker.ensure_topics(own)
    inside = f"127.0.0.1:{guarded.ports.kafka_internal}"
    alter(inside, own.topic, "message.timestamp.type", "LogAppendTime")
    alter(inside, own.dead_letter_topic, "retention.bytes", "1000000")
    found = list(kafka(guarded, own))
    assert "message.timestamp.type=CreateTime" in failures(iter(found))[f"topic {own.topic}"].fix
    assert "however new" in graded(iter(found), Grade.NOTE)[f"topic {own.dead_letter_topic}"].what


def test_table_that_is_not_the_declared_one(guarded: Settings, own: Pipeline) -> None:
    with Store(guarded.cassandra) as store:
        store.ensure_table(own)
        store.define(f"ALTER TABLE {own.keyspace}.{own.table} DROP phone")
    found = failures(cassandra(changed(guarded, cassandra={"replication_factor": 3}), own))
    assert "phone is absent" in found[f"table {own.keyspace}.{own.table}"].what
    assert "has 1 copies" in found["cassandra replication"].what


def test_table_whose_rows_expire(guarded: Settings, own: Pipeline) -> None:
    with Store(guarded.cassandra) as store:
        store.ensure_table(own)
        store.define(f"ALTER TABLE {own.keyspace}.{own.table} WITH default_time_to_live = 60")
    found = graded(cassandra(guarded, own), Grade.NOTE)
    assert "disappears 1 min after it was written" in (
        found[f"table {own.keyspace}.{own.table}: default_time_to_live = 60"].what
    )


def test_keyspace_that_asks_for_more_copies_than_nodes(guarded: Settings, own: Pipeline) -> None:
    wide = own.model_copy(update={"keyspace": "wide"})
    greedy = changed(guarded, cassandra={"replication_factor": 2})
    assert "which has 1 node(s)" in failures(cassandra(greedy, wide))["cassandra replication"].what


def test_versions_of_a_guarded_cluster(guarded: Settings, own: Pipeline) -> None:
    assert graded(kafka(guarded, own), Grade.OK)["kafka version"].what == "4.0 or newer"
    assert graded(cassandra(guarded, own), Grade.OK)["cassandra"].what.startswith(CASSANDRA.tested)


def test_cassandra_that_is_too_old(guarded: Settings, own: Pipeline) -> None:
    [found] = cassandra(guarded, own, replace(CASSANDRA, oldest=(99, 1)))
    assert (found.grade, found.what) == (Grade.FAILED, f"is version {CASSANDRA.tested}")
    assert "Use Cassandra 99.1 or newer" in found.fix


@pytest.fixture
def old(tmp_path: Path) -> Iterator[Settings]:
    """A broker that speaks as Kafka 2.7 does."""
    settings = settings_in(tmp_path / "home", StackSettings(kafka="zookeeper"))
    with running(zookeeper, settings), running(_with("inter.broker.protocol.version=2.7"), settings):
        yield settings


def test_kafka_that_is_too_old(old: Settings, own: Pipeline) -> None:
    found = failures(kafka(old, own))
    assert found.keys() == {"kafka version"}
    assert "is version 2.7" in found["kafka version"].what
    assert found["kafka version"].fix == KAFKA.fix


def refuse(settings: Settings) -> None:
    """Takes from everybody the right to see the brokers' configuration, and leaves the others."""
    rules = {AclOperation.ALL: AclPermissionType.ALLOW, AclOperation.DESCRIBE_CONFIGS: AclPermissionType.DENY}
    place = (ResourceType.BROKER, "kafka-cluster", ResourcePatternType.LITERAL, "User:ANONYMOUS", "*")
    admin = AdminClient({"bootstrap.servers": settings.kafka.bootstrap_servers})
    made = admin.create_acls([AclBinding(*place, operation, permission) for operation, permission in rules.items()])
    for done in made.values():
        done.result(30)


@pytest.fixture
def closed(settings: Settings) -> Iterator[Settings]:
    """A broker that lets everybody do everything but look at its configuration."""
    rights = (
        "authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "allow.everyone.if.no.acl.found=true",
    )
    with running(_with(*rights), settings):
        refuse(settings)
        yield settings


@pytest.mark.thorough  # a broker of its own, for one line
def test_kafka_that_does_not_tell_its_version(closed: Settings, own: Pipeline) -> None:
    assert "DescribeConfigs" in graded(kafka(closed, own), Grade.NOTE)["kafka version"].what


def test_postgres_is_of_a_version_that_airflow_knows(settings: Settings, tmp_path: Path) -> None:
    with running(lambda settings, _: postgres_service(settings), settings):
        found, other = postgres(settings), postgres(settings, replace(POSTGRES, oldest=(99,)))
        (settings.home / FILE_NAME).unlink()
        stranger = postgres(settings)
        elsewhere = settings.model_copy(update={"home": tmp_path / "another home"})
        load_secrets(elsewhere)
        (elsewhere.home / FILE_NAME).replace(settings.home / FILE_NAME)
        wrong = postgres(settings)
    assert (found.grade, found.what.partition(".")[0]) == (Grade.OK, POSTGRES.tested)
    assert (other.grade, stranger.grade, wrong.grade) == (Grade.FAILED, Grade.NOTE, Grade.FAILED)
    assert "password" in wrong.what


def test_spark_master_of_another_line(settings: Settings) -> None:
    asked = pages(settings, local=True)
    with running(spark_master, settings):
        same, other = failures(spark(settings, asked)), failures(spark(settings, asked, wheel="3.5.8"))
    assert same == {}
    assert f"the master is of {version('pyspark')}, pyspark here of 3.5.8" in other["spark version"].what
    assert "Use a master and workers of Spark 3.5" in other["spark version"].fix


@pytest.fixture
def misled(settings: Settings) -> Iterator[Settings]:
    """A broker that tells its clients to call a port where nobody is."""
    inside = f"INSIDE://127.0.0.1:{settings.ports.kafka_internal}"
    with socket.socket() as silent:  # bound, so that nobody can take the port, and not listening
        silent.bind(("127.0.0.1", 0))
        nobody = silent.getsockname()[1]
        with running(_with(f"advertised.listeners=OUTSIDE://127.0.0.1:{nobody},{inside}"), settings):
            yield settings


def test_broker_that_sends_its_clients_elsewhere(misled: Settings, own: Pipeline) -> None:
    for _ in range(5):  # what librdkafka asks first is left to chance
        assert "advertised.listeners" in failures(kafka(misled, own))["kafka listeners"].fix
