"""Every operation that a client could attempt on a secure stack, what it needs, and whether the servers allow it.

`expected` follows from the table of principals alone, so the documentation is made of it without a server.
"""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from confluent_kafka import (
    Consumer,
    ConsumerGroupTopicPartitions,
    KafkaError,
    KafkaException,
    Producer,
    TopicCollection,
    TopicPartition,
)
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # exported by `import` only
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    ResourcePatternType,
    ResourceType,
    ScramCredentialInfo,
    ScramMechanism,
    UserScramCredentialUpsertion,
)
from confluent_kafka.cimpl import NewTopic

from penstock.cassandra import Store
from penstock.config import CassandraSettings, KafkaSettings, Settings
from penstock.errors import StoreError
from penstock.kafka.client import Client
from penstock.pipelines.contract import Pipeline
from penstock.servers.access import as_principal
from penstock.servers.principals import READER, RIGHTS, SPARK_GROUPS, TABLE, Principal, Rights

TIMEOUT_S = 60
_REFUSED = frozenset(
    (
        KafkaError.TOPIC_AUTHORIZATION_FAILED,
        KafkaError.GROUP_AUTHORIZATION_FAILED,
        KafkaError.CLUSTER_AUTHORIZATION_FAILED,
    )
)

Allowed = Callable[[Principal, Rights], bool]


@dataclass(frozen=True)
class Operation:
    """`attempt` returns when it was allowed, and raises what the client of the server raises when it was not."""

    name: str
    allowed: Allowed
    attempt: Callable[[Settings, Pipeline], None]


def is_allowed(operation: Operation, settings: Settings, pipeline: Pipeline, who: Principal) -> bool:
    """What the servers say; an error of another kind than a refusal is raised."""
    try:
        operation.attempt(as_principal(settings, who), pipeline)
    except KafkaException as exception:
        if exception.args[0].code() not in _REFUSED:
            raise
        return False
    except StoreError as error:
        if "code=2100" not in str(error):  # Unauthorized: native_protocol_v4.spec, 9
            raise
        return False
    return True


def table(cells: Mapping[tuple[str, Principal], bool]) -> str:
    """Of every operation and principal, in Markdown."""
    names = list(dict.fromkeys(name for name, _ in cells))
    head = f"| operation | {' | '.join(Principal)} |\n|---|{'---|' * len(Principal)}"
    rows = [f"| {name} | {' | '.join('yes' if cells[name, who] else '–' for who in Principal)} |" for name in names]
    return "\n".join([head, *rows])


def expected() -> dict[tuple[str, Principal], bool]:
    """Of every operation and principal, by the table of rights."""
    return {(one.name, who): one.allowed(who, rights) for one in OPERATIONS for who, rights in RIGHTS.items()}


def _admin_only(who: Principal, _: Rights) -> bool:
    return who is Principal.ADMIN


def _on_topic(operation: str) -> Allowed:
    return lambda who, rights: operation in rights.topic or who is Principal.ADMIN


def _on_letters(operation: str) -> Allowed:
    return lambda who, rights: operation in rights.letters or who is Principal.ADMIN


def _on_groups(operation: str, name: str) -> Allowed:
    return lambda who, rights: operation in rights.groups.get(name, ()) or who is Principal.ADMIN


def _on_table(permission: str, name: str) -> Allowed:
    return lambda who, rights: permission in rights.tables.get(name, ()) or who is Principal.ADMIN


def _read(kafka: KafkaSettings, topic: str) -> None:
    options = Client(kafka).options(group_id=READER, enable_partition_eof=True, auto_offset_reset="earliest")
    consumer = Consumer(options)
    try:
        consumer.assign([TopicPartition(topic, 0, 0)])
        while (message := consumer.poll(TIMEOUT_S)) is not None:
            error = message.error()
            if error is None or error.code() == KafkaError._PARTITION_EOF:
                return
            raise KafkaException(error)
        raise AssertionError(f"nothing was said about {topic} within {TIMEOUT_S} s")
    finally:
        consumer.close()


def _write(kafka: KafkaSettings, topic: str) -> None:
    errors: list[KafkaError | None] = []
    producer = Producer(Client(kafka).options(delivery_timeout_ms=TIMEOUT_S * 1_000))
    producer.produce(topic, b"{}", b"key", on_delivery=lambda error, _: errors.append(error))
    producer.flush(TIMEOUT_S)
    [error] = errors
    if error:
        raise KafkaException(error)


def _ask(kafka: KafkaSettings, ask: Callable[[AdminClient], Future[Any] | Mapping[Any, Future[Any]]]) -> None:
    """The client lives until its answer is there: one that nothing holds ends, and its question with it."""
    admin = AdminClient(Client(kafka).options())
    asked = ask(admin)
    for answer in asked.values() if isinstance(asked, Mapping) else [asked]:
        answer.result(TIMEOUT_S)


def _describe(kafka: KafkaSettings, topic: str) -> None:
    _ask(kafka, lambda admin: admin.describe_topics(TopicCollection([topic])))


def _properties(kafka: KafkaSettings, topic: str) -> None:
    _ask(kafka, lambda admin: admin.describe_configs([ConfigResource(ConfigResource.Type.TOPIC, topic)]))


def _change_properties(kafka: KafkaSettings, topic: str) -> None:
    entry = ConfigEntry("file.delete.delay.ms", "60001", incremental_operation=AlterConfigOpType.SET)
    changed = ConfigResource(ConfigResource.Type.TOPIC, topic, incremental_configs=[entry])
    _ask(kafka, lambda admin: admin.incremental_alter_configs([changed]))


def _make_topic(settings: Settings, _: Pipeline) -> None:
    _ask(settings.kafka, lambda admin: admin.create_topics([NewTopic(f"other-{uuid4().hex}", 1, 1)]))


def _delete_topic(kafka: KafkaSettings, topic: str) -> None:
    _ask(kafka, lambda admin: admin.delete_topics([topic]))


def _group(kafka: KafkaSettings, topic: str, group: str) -> None:
    """Not by a consumer: one whose group is refused asks on until its timeout."""
    asked = ConsumerGroupTopicPartitions(group, [TopicPartition(topic, 0)])
    _ask(kafka, lambda admin: admin.list_consumer_group_offsets([asked]))


def _list_rights(settings: Settings, _: Pipeline) -> None:
    anything = (None, ResourcePatternType.ANY, None, None, AclOperation.ANY, AclPermissionType.ANY)
    admin = AdminClient(Client(settings.kafka).options())
    if not admin.describe_acls(AclBindingFilter(ResourceType.ANY, *anything)).result(TIMEOUT_S):
        # librdkafka gives a refusal as an empty list; there are rights to list in a secure stack
        raise KafkaException(KafkaError(KafkaError.CLUSTER_AUTHORIZATION_FAILED))


def _give_right(settings: Settings, _: Pipeline) -> None:
    where = (ResourceType.TOPIC, "nothing", ResourcePatternType.LITERAL, "User:nobody", "*")
    right = AclBinding(*where, AclOperation.READ, AclPermissionType.ALLOW)
    _ask(settings.kafka, lambda admin: admin.create_acls([right]))


def _make_user(settings: Settings, _: Pipeline) -> None:
    how = ScramCredentialInfo(ScramMechanism.SCRAM_SHA_512, 4_096)
    user = UserScramCredentialUpsertion("nobody", how, b"nothing")
    _ask(settings.kafka, lambda admin: admin.alter_user_scram_credentials([user]))


def on_topic(attempt: Callable[[KafkaSettings, str], None]) -> Callable[[Settings, Pipeline], None]:
    return lambda settings, pipeline: attempt(settings.kafka, pipeline.topic)


def _on_dead_letters(attempt: Callable[[KafkaSettings, str], None]) -> Callable[[Settings, Pipeline], None]:
    return lambda settings, pipeline: attempt(settings.kafka, pipeline.dead_letter_topic)


def _of_group(group: str) -> Callable[[Settings, Pipeline], None]:
    # As the administrator sees the offsets of every topic, the topic is one that its members may see too.
    return lambda settings, pipeline: _group(settings.kafka, pipeline.topic, group)


def _cql(*statements: str) -> Callable[[Settings, Pipeline], None]:
    def attempt(settings: Settings, pipeline: Pipeline) -> None:
        names = {"keyspace": pipeline.keyspace, "table": pipeline.table, "other": f"other_{uuid4().hex[:12]}"}
        define(settings.cassandra, *(one.format(**names) for one in statements))

    return attempt


def define(cassandra: CassandraSettings, *statements: str) -> None:
    with Store(cassandra) as store:
        for statement in statements:
            store.define(statement)


_REPLICATION = "replication = {{'class': 'SimpleStrategy', 'replication_factor': 1}}"
_INSERTS: Mapping[str, str] = {
    "penstock_runs": "(topic, run, attempt) VALUES ('none', 'none', 'none')",
    "penstock_counts": "(topic, run, attempt, stream) VALUES ('none', 'none', 'none', 'none')",
    "penstock_resolved": "(topic, run, item) VALUES ('none', 'none', 'none')",
    "penstock_batches": "(topic, partition, last, stream) VALUES ('none', 0, 0, 'none')",
    "penstock_streams": "(topic, stream) VALUES ('none', 'none')",
    "penstock_synced": "(id) VALUES (1)",
}


def _of_table(name: str) -> Sequence[Operation]:
    real = "{keyspace}.{table}" if name == TABLE else f"{{keyspace}}.{name}"
    columns = _INSERTS.get(name, "(id) VALUES (00000000-0000-0000-0000-000000000000)")
    return (
        Operation(f"read {name}", _on_table("SELECT", name), _cql(f"SELECT * FROM {real} LIMIT 1")),  # noqa: S608 - names of ours
        Operation(f"write {name}", _on_table("MODIFY", name), _cql(f"INSERT INTO {real} {columns}")),
        Operation(f"empty {name}", _on_table("MODIFY", name), _cql(f"TRUNCATE {real}")),
        Operation(f"change the columns of {name}", _admin_only, _cql(f"ALTER TABLE {real} WITH comment = 'changed'")),
    )


OPERATIONS: Sequence[Operation] = (
    Operation("read the topic", _on_topic("READ"), on_topic(_read)),
    Operation("write the topic", _on_topic("WRITE"), on_topic(_write)),
    Operation("see the topic", _on_topic("DESCRIBE"), on_topic(_describe)),
    Operation("see the topic's properties", _on_topic("DESCRIBE_CONFIGS"), on_topic(_properties)),
    Operation("change the topic's properties", _admin_only, on_topic(_change_properties)),
    Operation("read the dead letters", _on_letters("READ"), _on_dead_letters(_read)),
    Operation("write the dead letters", _on_letters("WRITE"), _on_dead_letters(_write)),
    Operation("see the dead letters' topic", _on_letters("DESCRIBE"), _on_dead_letters(_describe)),
    Operation("see its properties", _on_letters("DESCRIBE_CONFIGS"), _on_dead_letters(_properties)),
    Operation("change its properties", _admin_only, _on_dead_letters(_change_properties)),
    Operation("make a topic", _admin_only, _make_topic),
    Operation(
        "use one of Spark's consumer groups", _on_groups("READ", SPARK_GROUPS), _of_group(f"{SPARK_GROUPS}tested")
    ),
    Operation("ask for our readers' consumer group", _on_groups("DESCRIBE", READER), _of_group(READER)),
    Operation("use another consumer group", _admin_only, _of_group("another")),
    Operation("list Kafka's rights", _admin_only, _list_rights),
    Operation("give a right in Kafka", _admin_only, _give_right),
    Operation("make a user of Kafka", _admin_only, _make_user),
    *_of_table(TABLE),
    *(operation for name in _INSERTS for operation in _of_table(name)),
    Operation(
        "read how large a batch may be",
        _on_table("SELECT", "system_views.settings"),
        _cql("SELECT value FROM system_views.settings WHERE name = 'batch_size_fail_threshold'"),
    ),
    Operation("make a table", _admin_only, _cql("CREATE TABLE {keyspace}.{other} (id int PRIMARY KEY)")),
    Operation("make a keyspace", _admin_only, _cql(f"CREATE KEYSPACE {{other}} WITH {_REPLICATION}")),
    Operation("change the keyspace", _admin_only, _cql("ALTER KEYSPACE {keyspace} WITH durable_writes = true")),
    Operation("read the roles and their hashes", _admin_only, _cql("SELECT * FROM system_auth.roles")),
    Operation("make a role", _admin_only, _cql("CREATE ROLE {other} WITH LOGIN = false")),
    Operation("change another role", _admin_only, _cql('ALTER ROLE "probe" WITH LOGIN = true')),
    Operation("become a superuser", _admin_only, _cql('GRANT "admin" TO "probe"', 'REVOKE "admin" FROM "probe"')),
    Operation("give a right in Cassandra", _admin_only, _cql('GRANT SELECT ON {keyspace}.{table} TO "ingest"')),
    Operation("delete the topic", _admin_only, on_topic(_delete_topic)),
    Operation("drop the table", _admin_only, _cql("DROP TABLE {keyspace}.{table}")),
    Operation("drop the keyspace", _admin_only, _cql("DROP KEYSPACE {keyspace}")),
)
"""In this order, the administrator last in each: the last ones leave nothing to attempt the others on."""


def measured(settings: Settings, pipeline: Pipeline) -> dict[tuple[str, Principal], bool]:
    """Of every operation and principal, what the running servers allow."""
    return {(one.name, who): is_allowed(one, settings, pipeline, who) for one in OPERATIONS for who in Principal}
