"""The table in a real Cassandra: made from the declaration, checked against it, and looked up."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any
from uuid import UUID, uuid4

import pytest
from cassandra import ProtocolVersion
from cassandra.cluster import Cluster, ExecutionProfile, Session

from penstock.cassandra import Counts, Property, Store, properties
from penstock.config import Settings
from penstock.doctor.cassandra import cassandra as doctor
from penstock.doctor.finding import Grade
from penstock.errors import StoreError
from penstock.pipelines.contract import From, Pipeline, Record, Text
from penstock.stream.connectors.cassandra import batch_conf
from penstock.users import USERS

AT = datetime(2025, 3, 12, 14, 30, 0, 123_000, tzinfo=UTC)
AT_US = int(AT.timestamp()) * 1_000_000 + AT.microsecond


class Reading(Record):
    """A record with text, numbers, a truth value and a time."""

    sensor: Annotated[UUID, From("sensor")]
    name: Annotated[Text | None, From("name")] = None
    count: Annotated[int | None, From("count")] = None
    level: Annotated[float | None, From("level")] = None
    valid: Annotated[bool | None, From("valid")] = None
    at: Annotated[datetime | None, From("at")] = None


class Narrow(Record):
    """Another declaration of the same table."""

    sensor: Annotated[UUID, From("sensor")]
    count: Annotated[str | None, From("count")] = None
    unit: Annotated[str | None, From("unit")] = None


@pytest.fixture
def cql(stack_settings: Settings) -> Iterator[Session]:
    """A session beside the one under test."""
    cassandra = stack_settings.cassandra
    cluster = Cluster(
        [cassandra.contact_points],
        port=cassandra.port,
        protocol_version=ProtocolVersion.V4,
        execution_profiles={"default": ExecutionProfile(request_timeout=60)},
    )
    yield cluster.connect()
    cluster.shutdown()


@pytest.fixture
def own(store: Store, cql: Session, pipeline: Pipeline) -> Iterator[Pipeline]:
    """A pipeline of readings with a table of this test."""
    changes = {"record": Reading, "key": "sensor", "keyspace": f"t{uuid4().hex}", "table": "readings"}
    own = pipeline.model_copy(update=changes)
    store.ensure_table(own)
    yield own
    cql.execute(f"DROP KEYSPACE {own.keyspace}")


def insert(cql: Session, own: Pipeline, written_us: int = AT_US, **cells: Any) -> UUID:
    key: UUID = cells.pop("sensor", uuid4())
    row = {"sensor": key, **cells}
    names, marks = ", ".join(row), ", ".join("%s" for _ in row)
    cql.execute(
        f"INSERT INTO {own.keyspace}.{own.table} ({names}) VALUES ({marks}) USING TIMESTAMP {written_us}",  # noqa: S608
        list(row.values()),
    )
    return key


def test_table_that_is_there_stays_as_it_is(store: Store, cql: Session, own: Pipeline) -> None:
    insert(cql, own)
    store.ensure_table(own)
    assert store.count(own) == 1


def test_declared_options_of_a_table_that_has_others_are_told_with_the_statement_that_changes_them(
    store: Store, cql: Session, own: Pipeline
) -> None:
    options = {
        "compaction": {"class": "TimeWindowCompactionStrategy", "compaction_window_size": 2},
        "compression": {"class": "ZstdCompressor"},
        "gc_grace_seconds": 900_000,
        "default_time_to_live": 86_400,
        "speculative_retry": "95PERCENTILE",
        "comment": "it's",
    }
    declared = own.model_copy(update={"options": options})
    found = {each.name.partition(" ")[0]: each for each in properties(store, declared, timedelta(hours=1))}
    assert found.keys() == options.keys()
    assert not any(each.breaks for each in found.values())
    store.ensure_table(declared)
    for each in found.values():
        cql.execute(each.remedy.partition(": ")[2].partition("; else")[0])
    left = properties(store, declared, timedelta(hours=1))
    assert [each.name for each in left] == ["default_time_to_live = 86400"]  # as ever: rows disappear by it


def test_tables_that_another_client_made_a_moment_ago_are_seen(own: Pipeline, stack_settings: Settings) -> None:
    new = own.model_copy(update={"keyspace": f"new_{uuid4().hex[:8]}"})
    with Store(stack_settings.cassandra) as first, Store(stack_settings.cassandra) as second:
        for client in (first, second):
            Counts(client, new).ensure()
            client.ensure_table(new)
        assert Counts(second, new).exist()
        first.define(f"DROP KEYSPACE {new.keyspace}")


def test_table_that_is_not_the_declared_one_is_refused(store: Store, own: Pipeline) -> None:
    with pytest.raises(StoreError) as error:
        store.ensure_table(own.model_copy(update={"record": Narrow}))
    for difference in ("count is bigint, declared is text", "unit is absent", "level is not declared"):
        assert difference in str(error.value)


class Wide(Reading):
    """The declaration, and two fields more."""

    unit: Annotated[str | None, From("unit")] = None
    tags: Annotated[set[str] | None, From("tags")] = None


class Strict(Reading):
    """The declaration, and a field that every record has."""

    unit: Annotated[str, From("unit")]


def test_optional_columns_are_added_and_the_doctor_says_so_first(
    store: Store, cql: Session, own: Pipeline, stack_settings: Settings
) -> None:
    key = insert(cql, own, name="n")
    wide = own.model_copy(update={"record": Wide})
    said = [finding for finding in doctor(stack_settings, wide) if finding.subject.startswith("table")]
    assert [(finding.grade, finding.what) for finding in said] == [
        (Grade.NOTE, "lacks unit, tags, which is optional; `penstock stream` adds what it lacks")
    ]
    with pytest.raises(StoreError, match="unit is absent"):
        store.check_table(wide)
    store.ensure_table(wide)
    store.check_table(wide)
    [row] = store.rows(wide, [key])
    assert (row.values["name"], row.values["unit"]) == ("n", None)
    assert store.addable(wide) == []


def test_a_column_that_was_dropped_is_not_added_again(cql: Session, own: Pipeline, stack_settings: Settings) -> None:
    cql.execute(f"ALTER TABLE {own.keyspace}.{own.table} DROP name")
    with Store(stack_settings.cassandra) as fresh, pytest.raises(StoreError, match=r"name is absent\. Nothing was"):
        fresh.ensure_table(own)


def test_a_column_that_every_record_has_is_not_added(store: Store, own: Pipeline) -> None:
    with pytest.raises(StoreError, match=r"unit is absent\. Nothing was changed\. Two ways on: .*rebuild"):
        store.ensure_table(own.model_copy(update={"record": Strict}))


def test_table_with_another_key_is_refused(cql: Session, own: Pipeline, stack_settings: Settings) -> None:
    cql.execute(f"CREATE TABLE {own.keyspace}.other (sensor uuid, name text, PRIMARY KEY (sensor, name))")
    with (
        Store(stack_settings.cassandra) as fresh,
        pytest.raises(StoreError, match=r"its key is PRIMARY KEY \(sensor, name\), declared is PRIMARY KEY \(sensor\)"),
    ):
        fresh.ensure_table(own.model_copy(update={"table": "other"}))


def test_row_has_its_values_and_their_write_times(store: Store, cql: Session, own: Pipeline) -> None:
    cells: dict[str, Any] = {"name": "नमस्ते", "count": -(2**63), "level": 0.1, "valid": False, "at": AT}
    key = insert(cql, own, **cells)
    [row] = store.rows(own, [key])
    assert row.values == {"sensor": key, **cells}
    assert row.written_us == dict.fromkeys(cells, AT_US)


def test_unset_cell_has_no_write_time(store: Store, cql: Session, own: Pipeline) -> None:
    [row] = store.rows(own, [insert(cql, own, name="n")])
    assert row.values["level"] is None
    assert row.written_us == {"name": AT_US}


def test_older_write_does_not_win(store: Store, cql: Session, own: Pipeline) -> None:
    key = insert(cql, own, name="new")
    insert(cql, own, written_us=AT_US - 1, sensor=key, name="old")
    [row] = store.rows(own, [key])
    assert row.values["name"] == "new"


def test_many_rows_are_found_and_absent_ones_are_not(store: Store, cql: Session, own: Pipeline) -> None:
    stored = {insert(cql, own, count=number) for number in range(300)}
    asked = [*stored, *(uuid4() for _ in range(2_000))]
    assert {row.values["sensor"] for row in store.rows(own, iter(asked))} == stored


def test_counting_sees_every_row(store: Store, cql: Session, own: Pipeline) -> None:
    for _ in range(300):
        insert(cql, own)
    assert store.count(own) == 300


def test_any_rows_gives_no_more_than_asked_for(store: Store, cql: Session, own: Pipeline) -> None:
    for _ in range(5):
        insert(cql, own)
    assert len(store.any_rows(own, 3)) == 3


def test_table_that_does_not_exist_is_named(store: Store, own: Pipeline) -> None:
    with pytest.raises(StoreError, match="nowhere"):
        store.count(own.model_copy(update={"table": "nowhere"}))


def test_cassandra_that_is_not_there_is_named(free_port: int, stack_settings: Settings) -> None:
    nobody = stack_settings.cassandra.model_copy(update={"port": free_port})
    with pytest.raises(StoreError, match=f"127.0.0.1:{free_port}.*connecting failed"), Store(nobody):
        pass


def test_datacenter_that_does_not_exist_is_named(stack_settings: Settings) -> None:
    elsewhere = stack_settings.cassandra.model_copy(update={"datacenter": "atlantis"})
    with pytest.raises(StoreError, match="atlantis"), Store(elsewhere):
        pass


def test_nodes_say_how_large_a_batch_may_be(store: Store) -> None:
    """16 MiB in the local stack (`servers/cassandra.py`), which the stream's batches stay far below."""
    assert store.batch_limit_bytes() == 16 * 1024 * 1024
    assert batch_conf(store, USERS) == {"spark.cassandra.output.batch.size.bytes": str(96 * 1024)}


def said(store: Store, own: Pipeline) -> dict[str, Property]:
    return {each.name: each for each in properties(store, own, timedelta(days=7))}


def test_table_of_ours_has_no_property_that_takes_anything_away(store: Store, own: Pipeline) -> None:
    assert (said(store, own), store.expired_ms(own)) == ({}, None)


def test_properties_that_take_rows_away_are_named(store: Store, cql: Session, own: Pipeline) -> None:
    table = f"{own.keyspace}.{own.table}"
    cql.execute(f"ALTER TABLE {table} WITH default_time_to_live = 3600 AND gc_grace_seconds = 60")
    cql.execute(f"ALTER KEYSPACE {own.keyspace} WITH durable_writes = false")
    found = said(store, own)
    assert "disappears 1 h after it was written" in found["default_time_to_live = 3600"].meaning
    assert "is remembered for 1 min, and Kafka keeps messages for 7 d" in found["gc_grace_seconds = 60"].meaning
    assert [name for name, each in found.items() if each.breaks] == ["durable_writes = false"]
    assert said(store, own.model_copy(update={"absent": "keep"})).keys() == found.keys() - {"gc_grace_seconds = 60"}


def test_rows_expire_by_the_clock_of_cassandra(store: Store, cql: Session, own: Pipeline) -> None:
    cql.execute(f"ALTER TABLE {own.keyspace}.{own.table} WITH default_time_to_live = 3600")
    an_hour_ago_ms = (datetime.now(UTC) - timedelta(hours=1)).timestamp() * 1_000
    assert abs((store.expired_ms(own) or 0) - an_hour_ago_ms) < 60_000


def test_column_that_was_dropped_and_added_again_hides_older_values(store: Store, cql: Session, own: Pipeline) -> None:
    cql.execute(f"ALTER TABLE {own.keyspace}.{own.table} DROP name")
    cql.execute(f"ALTER TABLE {own.keyspace}.{own.table} ADD name text")
    [row] = store.rows(own, [insert(cql, own, name="n", count=1)])
    assert row.written_us == {"count": AT_US}
    assert "values of records from before that moment stay hidden" in said(store, own)["column name"].meaning


def test_of_a_value_and_null_of_one_write_time_null_wins(store: Store, cql: Session, own: Pipeline) -> None:
    for cells in ({"name": None, "count": 1}, {"name": "n", "count": 2}):
        key = insert(cql, own, sensor=UUID(int=7), **cells)
    [row] = store.rows(own, [key])
    assert (row.values["name"], row.values["count"]) == (None, 2)
