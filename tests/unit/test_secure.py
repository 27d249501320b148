"""A secure stack before any server runs: certificates, passwords, rights, and what is refused."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from pydantic import ValidationError

from penstock.cassandra import COUNT_TABLES
from penstock.config import KafkaSettings, Settings, StackSettings
from penstock.errors import ConfigError, ServiceError
from penstock.kafka.read import GROUP
from penstock.servers import authority
from penstock.servers.access import as_principal, secrets_of
from penstock.servers.data_format import check, claim, is_secure
from penstock.servers.principals import READER, RIGHTS, TABLE, Part, Principal, acls, grants
from penstock.servers.secrets import FILE_NAME, begin_rotation, end_rotation, load_secrets
from tests.matrix import expected, table

NOW = datetime(2026, 11, 28, tzinfo=UTC)
PART = Part("users_created", "users_created.dead-letters", "spark_streams", "created_users")
PAGE = Path(__file__).parents[2] / "docs" / "security-matrix.md"


def secure_in(home: Path) -> Settings:
    return Settings(home=home, stack=StackSettings(secure=True)).resolved()


def serial(settings: Settings, name: str) -> int:
    return x509.load_pem_x509_certificate(authority.identity(settings, name).certificate.read_bytes()).serial_number


def test_the_matrix_of_the_documentation_is_the_table_of_rights() -> None:
    assert table(expected()) in PAGE.read_text("utf-8")


def test_every_table_of_the_counts_is_in_the_table_of_rights() -> None:
    named = {name for rights in RIGHTS.values() for name in rights.tables if "." not in name} - {TABLE}
    assert named == set(COUNT_TABLES)


def test_nobody_but_the_administrator_may_change_what_there_is() -> None:
    assert {one.operation for one in acls([PART])} == {"READ", "WRITE", "DESCRIBE", "DESCRIBE_CONFIGS"}
    assert {one.permission for one in grants([PART])} == {"SELECT", "MODIFY"}


def test_the_stream_reads_one_topic_and_writes_letters_only() -> None:
    mine = [(one.name, one.operation) for one in acls([PART]) if one.principal == Principal.STREAM]
    assert (PART.topic, "READ") in mine
    assert (PART.topic, "WRITE") not in mine
    assert (PART.letters, "READ") not in mine


def test_the_group_of_our_readers_is_the_one_with_the_right() -> None:
    assert GROUP == READER


def test_pipelines_of_one_keyspace_get_each_right_once() -> None:
    given = list(grants([PART, PART._replace(topic="others", table="others")]))
    assert len(given) == len(set(given))


def test_certificates_are_made_once_and_only_their_owner_can_read_them(tmp_path: Path) -> None:
    settings = secure_in(tmp_path)
    assert authority.certify(settings, NOW) == ["authority", "kafka", "cassandra", *Principal]
    assert authority.certify(settings, NOW) == []
    folder = authority.trusted(settings).parent
    assert folder.stat().st_mode & 0o777 == 0o700
    assert {file.stat().st_mode & 0o777 for file in folder.glob("*.*") if file.suffix in (".key", ".crt")} == {0o600}


def test_a_certificate_is_renewed_when_a_third_of_its_life_is_left(tmp_path: Path) -> None:
    settings = secure_in(tmp_path)
    authority.certify(settings, NOW)
    first = serial(settings, "kafka")
    assert authority.certify(settings, NOW + timedelta(days=240)) == []
    assert authority.certify(settings, NOW + timedelta(days=250)) == ["kafka", "cassandra", *Principal]
    assert serial(settings, "kafka") != first


def test_a_renewed_authority_signs_all_anew_and_the_former_one_stays_trusted(tmp_path: Path) -> None:
    settings = secure_in(tmp_path)
    authority.certify(settings, NOW)
    later = NOW + timedelta(days=2_500)
    assert authority.certify(settings, later) == ["authority", "kafka", "cassandra", *Principal]
    trusted = x509.load_pem_x509_certificates(authority.trusted(settings).read_bytes())
    assert [one.not_valid_before_utc < later - timedelta(days=1) for one in trusted] == [False, True]


def test_what_a_killed_start_left_half_made_is_made_again(tmp_path: Path) -> None:
    settings = secure_in(tmp_path)
    authority.certify(settings, NOW)
    other = secure_in(tmp_path / "other")
    authority.certify(other, NOW)
    authority.identity(settings, "kafka").key.write_bytes(authority.identity(other, "kafka").key.read_bytes())
    authority.identity(settings, "stream").certificate.write_bytes(
        authority.identity(other, "stream").certificate.read_bytes()
    )
    assert authority.certify(settings, NOW) == ["kafka", "stream"]


def test_a_file_that_is_no_certificate_is_named(tmp_path: Path) -> None:
    settings = secure_in(tmp_path)
    authority.certify(settings, NOW)
    authority.identity(settings, "kafka").certificate.write_text("nothing")
    with pytest.raises(ConfigError, match=r"kafka\.crt is no certificate"):
        authority.certify(settings, NOW)


def test_passwords_are_kept_beside_the_other_secrets(tmp_path: Path) -> None:
    settings = secure_in(tmp_path)
    before = load_secrets(settings)
    words = secrets_of(settings).now
    assert {*Principal, "spark"} == set(words)
    assert len({word.get_secret_value() for word in words.values()}) == len(words)
    assert secrets_of(settings).now == words
    assert load_secrets(settings) == before
    assert (tmp_path / FILE_NAME).stat().st_mode & 0o777 == 0o600


def test_a_rotation_goes_on_where_it_was_killed(tmp_path: Path) -> None:
    settings = secure_in(tmp_path)
    first = begin_rotation(settings, ["stream"])
    assert begin_rotation(settings, ["stream"]) == first
    end_rotation(settings)
    assert secrets_of(settings).now["stream"] == first.coming["stream"] != first.now["stream"]
    assert secrets_of(settings).coming == {}


def test_each_client_has_credentials_of_its_own(tmp_path: Path) -> None:
    settings = secure_in(tmp_path)
    stream = as_principal(settings, Principal.STREAM)
    assert (stream.kafka.security_protocol, stream.kafka.sasl_username) == ("SASL_SSL", "stream")
    assert (stream.cassandra.ssl, stream.cassandra.username) == (True, "stream")
    assert stream.spark.conf["spark.authenticate"] == "true"
    assert as_principal(settings, Principal.CONSOLE).spark.conf == {}
    assert as_principal(settings, Principal.CONSOLE).kafka.sasl_password != stream.kafka.sasl_password


def test_an_open_stack_and_a_kafka_of_somebody_else_get_no_credentials(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path).resolved()
    assert as_principal(settings, Principal.STREAM) == settings
    elsewhere = Settings(home=tmp_path, stack=StackSettings(secure=True), kafka=KafkaSettings(bootstrap_servers="a:1"))
    assert as_principal(elsewhere.resolved(), Principal.STREAM).kafka == elsewhere.resolved().kafka


def test_a_home_that_was_secure_is_not_started_open(tmp_path: Path) -> None:
    claim(secure_in(tmp_path))
    with pytest.raises(ServiceError, match="--secure"):
        check(Settings(home=tmp_path))
    assert is_secure(Settings(home=tmp_path))


def test_a_home_that_was_open_is_not_started_secure(tmp_path: Path) -> None:
    claim(Settings(home=tmp_path))
    with pytest.raises(ServiceError, match="of an open stack"):
        check(secure_in(tmp_path))
    assert not is_secure(Settings(home=tmp_path))


def test_nothing_is_recorded_by_looking(tmp_path: Path) -> None:
    check(secure_in(tmp_path))
    assert not list(tmp_path.iterdir())


def test_a_secure_stack_that_anybody_could_hear_is_refused() -> None:
    with pytest.raises(ValidationError, match="nothing is started"):
        Settings(stack=StackSettings(secure=True, listen="0.0.0.0"))


@pytest.mark.parametrize("other", [{"kafka": "zookeeper"}])
def test_a_secure_stack_that_cannot_be_is_refused(other: dict[str, str]) -> None:
    with pytest.raises(ValidationError, match="nothing is started"):
        StackSettings.model_validate({"secure": True, **other})
