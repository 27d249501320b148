"""Kafka and Cassandra of a secure stack on the real servers: each client may do what the table says, and no more."""

import socket
import ssl
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient
from pydantic import SecretStr

from penstock.cassandra import Store
from penstock.cassandra.access import await_password, give_password
from penstock.cli.support.admission import admit
from penstock.cli.support.rotation import rotate
from penstock.cli.support.start import start
from penstock.config import KafkaSettings, Settings, StackSettings
from penstock.errors import ServiceError, StoreError
from penstock.kafka.client import Client
from penstock.launcher import control
from penstock.pipelines.project import load_pipeline
from penstock.servers import authority
from penstock.servers.access import as_principal, by_certificate, cassandra_settings, secrets_of
from penstock.servers.principals import WITH_PASSWORD, Principal
from penstock.servers.secrets import begin_rotation
from rig.stacks import processes_of, settings_in
from tests.matrix import TIMEOUT_S, expected, measured, table
from tests.secured import listening_elsewhere
from tests.waiting import until

STORES = ("kafka", "cassandra")


@pytest.fixture(scope="module")
def secure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """Settings of a secure stack whose stores run."""
    settings = settings_in(tmp_path_factory.mktemp("secure") / "home", StackSettings(secure=True))
    try:
        start(settings, STORES)
        yield settings
    finally:
        control.down(settings)
    assert processes_of(settings.home) == []


def answers(kafka: KafkaSettings) -> bool:
    """Whether this client is let in."""
    try:
        AdminClient(Client(kafka).options()).list_topics(timeout=TIMEOUT_S / 10)
    except KafkaException:
        return False
    return True


def lets_in(settings: Settings, name: str, password: str) -> bool:
    try:
        with Store(cassandra_settings(settings, name, SecretStr(password))):
            return True
    except StoreError:
        return False


def test_only_loopback_is_listened_on(secure: Settings) -> None:
    assert listening_elsewhere(secure.home, least=5) == []


def test_nobody_is_let_in_without_password_certificate_and_tls(secure: Settings) -> None:
    stream = as_principal(secure, Principal.STREAM).kafka
    assert answers(stream)
    assert not answers(secure.kafka)
    assert not answers(stream.model_copy(update={"sasl_password": SecretStr("guessed")}))
    assert not answers(stream.model_copy(update={"sasl_username": "operator"}))
    inner = by_certificate(secure, Principal.ADMIN)
    assert answers(inner)
    assert not answers(inner.model_copy(update={"ssl_certificate_location": "", "ssl_key_location": ""}))
    assert not lets_in(secure, "stream", "guessed")
    assert not lets_in(secure, "cassandra", "cassandra")
    with pytest.raises(StoreError):
        Store(secure.cassandra).__enter__()
    without = as_principal(secure, Principal.STREAM).cassandra
    with pytest.raises(StoreError):
        Store(without.model_copy(update={"ssl_certificate_location": "", "ssl_key_location": ""})).__enter__()


def test_servers_show_certificates_of_the_homes_authority(secure: Settings) -> None:
    context = ssl.create_default_context(cafile=str(authority.trusted(secure)))
    for port in (secure.ports.kafka, secure.ports.kafka_internal):
        plain = socket.create_connection(("127.0.0.1", port))
        with context.wrap_socket(plain, server_hostname="127.0.0.1") as secured:
            assert secured.version() == "TLSv1.3"


def test_a_secure_home_is_not_started_open(secure: Settings) -> None:
    with pytest.raises(ServiceError, match="not started open"):
        start(secure.model_copy(update={"stack": StackSettings()}), STORES)


def test_a_rotation_that_was_killed_is_gone_on_with(secure: Settings) -> None:
    before = secrets_of(secure).now
    coming = begin_rotation(secure, WITH_PASSWORD).coming
    rotate(secure)
    now = secrets_of(secure)
    assert now.coming == {}
    assert {name: now.now[name] for name in WITH_PASSWORD} == coming
    for name in (Principal.STREAM, Principal.ADMIN):
        assert lets_in(secure, name, now.now[name].get_secret_value())
        assert not lets_in(secure, name, before[name].get_secret_value())
    stream = as_principal(secure, Principal.STREAM).kafka
    assert answers(stream)
    assert not answers(stream.model_copy(update={"sasl_password": before["stream"]}))


def test_a_start_beside_a_rotation_gives_nobody_a_password_that_counts_no_longer(secure: Settings) -> None:
    before = secrets_of(secure).now
    with ThreadPoolExecutor() as threads:
        rotation = threads.submit(rotate, secure)
        until(lambda: secrets_of(secure).coming or rotation.done())
        admit(secure, STORES)
        rotation.result()
    now = secrets_of(secure).now
    assert now[Principal.STREAM] != before[Principal.STREAM]
    assert answers(as_principal(secure, Principal.STREAM).kafka)
    assert lets_in(secure, Principal.STREAM, now[Principal.STREAM].get_secret_value())


def test_a_start_takes_a_rotation_back_that_was_killed(secure: Settings) -> None:
    """Killed when Cassandra had each new password, and before they counted."""
    rotation = begin_rotation(secure, WITH_PASSWORD)
    with Store(as_principal(secure, Principal.ADMIN).cassandra) as store:
        for name in WITH_PASSWORD:
            give_password(store, cassandra_settings(secure, name, rotation.coming[name]))
    await_password(cassandra_settings(secure, Principal.ADMIN, rotation.coming[Principal.ADMIN]))
    admit(secure, STORES)
    for name in WITH_PASSWORD:
        assert lets_in(secure, name, rotation.now[name].get_secret_value())
    rotate(secure)
    assert lets_in(secure, Principal.ADMIN, rotation.coming[Principal.ADMIN].get_secret_value())


@pytest.mark.thorough
def test_every_client_may_do_what_the_table_says_and_nothing_else(secure: Settings) -> None:
    """The last one here: the administrator ends by deleting what the others were kept from."""
    found = measured(secure, load_pipeline("penstock.users:USERS"))
    print(table(found))  # noqa: T201 - for docs/security-matrix.md
    assert {cell: value for cell, value in found.items() if value != expected()[cell]} == {}
