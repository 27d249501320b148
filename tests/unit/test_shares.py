"""A secure stack of containers: what each is given, and that it makes do with that."""

import json
from pathlib import Path

import pytest
from cryptography import x509

from penstock.config import Hosts, Settings, StackSettings
from penstock.errors import ConfigError
from penstock.servers import authority
from penstock.servers.access import SPARK, as_principal, by_certificate, secrets_of, spark_secret
from penstock.servers.kafka_properties import configuration
from penstock.servers.nodes import brokers
from penstock.servers.principals import Principal
from penstock.servers.secrets import GIVEN_NAME, begin_rotation
from penstock.servers.shares import SHARES, distribute

HOSTS = Hosts(kafka="broker", cassandra="cassandra")
STACK = StackSettings(secure=True, listen="0.0.0.0")
CLIENTS = {
    "stream": Principal.STREAM,
    "console": Principal.CONSOLE,
    "airflow-scheduler": Principal.INGEST,
    "operator": Principal.OPERATOR,
}


@pytest.fixture
def maker(tmp_path: Path) -> Settings:
    """Settings of the container that makes what the others are given, in folders below `shares`."""
    settings = Settings(home=tmp_path / "home", hosts=HOSTS, stack=STACK).resolved()
    distribute(settings, tmp_path / "shares")
    return settings


def container(maker: Settings, name: str) -> Settings:
    """Settings of the container of this name."""
    given = str(maker.home.parent / "shares" / name)
    return Settings(home=maker.home.parent / name, hosts=HOSTS, stack=STACK, credentials=given).resolved()


@pytest.mark.parametrize("name", SHARES)
def test_a_container_is_given_its_own_credentials_and_no_others(maker: Settings, name: str) -> None:
    folder, share = Path(container(maker, name).credentials), SHARES[name]
    own = {f"{one}.{kind}" for one in share.certificates for kind in ("crt", "key")}
    assert {file.name for file in folder.iterdir()} == {"authority.crt", GIVEN_NAME, *own}
    assert set(json.loads((folder / GIVEN_NAME).read_text())) == {*share.passwords}
    assert {file.stat().st_mode & 0o777 for file in folder.iterdir()} == {0o600}


def test_nobody_but_the_maker_can_sign_and_nobody_is_the_administrator(maker: Settings) -> None:
    assert not [*(maker.home.parent / "shares").rglob("authority.key")]
    assert not [name for name, share in SHARES.items() if Principal.ADMIN in (*share.certificates, *share.passwords)]


def test_every_other_client_and_server_has_a_container() -> None:
    given = {name for share in SHARES.values() for name in share.certificates}
    assert given == {authority.KAFKA, authority.CASSANDRA, *Principal} - {Principal.ADMIN}


@pytest.mark.parametrize(("name", "who"), CLIENTS.items())
def test_a_client_calls_with_what_it_is_given(maker: Settings, name: str, who: Principal) -> None:
    mine = as_principal(container(maker, name), who)
    assert (mine.kafka.sasl_username, mine.cassandra.username) == (who, who)
    assert mine.kafka.sasl_password == mine.cassandra.password == secrets_of(maker).now[who]
    assert mine.kafka.bootstrap_servers == "broker:9092"
    files = (mine.kafka.ssl_ca_location, mine.cassandra.ssl_certificate_location, mine.cassandra.ssl_key_location)
    assert all(Path(file).parent == Path(mine.credentials) and Path(file).exists() for file in files)


@pytest.mark.parametrize("name", ["spark-master", "spark-worker", "stream"])
def test_sparks_containers_share_a_secret(maker: Settings, name: str) -> None:
    assert spark_secret(container(maker, name)) == secrets_of(maker).now[SPARK].get_secret_value()


def test_a_client_cannot_be_another_one(maker: Settings) -> None:
    with pytest.raises(ConfigError, match="does not have the passwords of operator"):
        as_principal(container(maker, "stream"), Principal.OPERATOR)


@pytest.mark.parametrize(("name", "who"), CLIENTS.items())
def test_a_service_that_has_its_credentials_needs_none_of_a_person(maker: Settings, name: str, who: Principal) -> None:
    """Its command is one that a person could give, and then would be the operator."""
    given = as_principal(container(maker, name), who)
    assert as_principal(given, Principal.OPERATOR) == given


def test_a_container_makes_no_credentials_of_its_own(maker: Settings, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    alone = container(maker, "stream").model_copy(update={"credentials": str(tmp_path / "empty")})
    with pytest.raises(ConfigError, match="COMPOSE_PROFILES=secure"):
        authority.certify(alone)
    with pytest.raises(ConfigError, match="distribute"):
        as_principal(alone, Principal.STREAM)
    assert not [*(tmp_path / "empty").iterdir()]
    assert authority.certify(container(maker, "kafka")) == []


def test_only_the_maker_changes_passwords(maker: Settings) -> None:
    with pytest.raises(ConfigError, match="admission secrets rotate"):
        begin_rotation(container(maker, "stream"), ["stream"])


def test_handed_out_again_everything_stays_and_what_is_not_needed_goes(maker: Settings) -> None:
    folder = maker.home.parent / "shares"
    before = {file: file.read_bytes() for file in folder.rglob("*") if file.is_file()}
    (folder / "console" / "former.key").write_text("")
    assert distribute(maker, folder) == []
    assert {file: file.read_bytes() for file in folder.rglob("*") if file.is_file()} == before


def test_an_open_stack_hands_out_nothing(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="PENSTOCK_STACK_SECURE"):
        distribute(Settings(home=tmp_path / "home"), tmp_path / "shares")
    assert not [*tmp_path.iterdir()]


def test_a_servers_certificate_names_the_host_by_which_it_is_called(maker: Settings) -> None:
    def named(name: str) -> list[str]:
        certificate = x509.load_pem_x509_certificate(authority.identity(maker, name).certificate.read_bytes())
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        return names.get_values_for_type(x509.DNSName)

    assert (named("kafka"), named("cassandra")) == (["localhost", "broker"], ["localhost", "cassandra"])
    moved = maker.model_copy(update={"hosts": Hosts(kafka="other", cassandra="cassandra")})
    assert authority.certify(moved) == ["kafka"]


def test_a_secure_broker_is_called_by_its_host_on_both_listeners(maker: Settings) -> None:
    [broker] = brokers(maker)
    assert configuration(maker, broker)["advertised.listeners"] == "OUTSIDE://broker:9092,INSIDE://broker:29092"
    assert by_certificate(maker, Principal.ADMIN).bootstrap_servers == "broker:29092"
