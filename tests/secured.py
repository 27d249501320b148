"""Kafka and Cassandra as a guarded cluster has them: TLS, certificates asked of clients, and credentials."""

import json
import socket
from collections.abc import Mapping
from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path

import psutil
from confluent_kafka.admin import AdminClient, ScramCredentialInfo, ScramMechanism, UserScramCredentialUpsertion

from penstock.cassandra import Store
from penstock.config import Settings
from penstock.errors import StoreError
from penstock.launcher.service import NotReady, Service
from penstock.network import tls
from penstock.servers.cassandra import cassandra
from penstock.servers.java import Java
from penstock.servers.kafka import kafka
from rig.stacks import processes_of
from tests.certificates import Authority

CORE = "hush4711"
"""In every secret of a guarded cluster, in a form that no quoting or encoding changes: what a test looks for."""
NASTY = f"p@ss/w:rd#1%x é$HOME \\'\"`{CORE}{{}};,=&?~ 汉 "
"""A password with every sign that means something in an address, SQL, JAAS, a shell or a file of settings."""
_PLAIN = "org.apache.kafka.common.security.plain.PlainLoginModule required"
_SCRAM = "org.apache.kafka.common.security.scram.ScramLoginModule required"
_TIMEOUT_S = 30


def guarded_kafka(settings: Settings, java: Java) -> Service:
    """SASL_SSL with PLAIN and SCRAM on the outer listener; certificates are those of `secured`."""
    service = kafka(settings, java)
    quoted = NASTY.replace("\\", "\\\\").replace('"', '\\"')
    certificate, key = _server_files(settings)
    lines = {
        "listener.security.protocol.map": "OUTSIDE:SASL_SSL,INSIDE:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "ssl.keystore.type": "PEM",
        "ssl.keystore.location": str(settings.home.parent / "server.pem"),
        "ssl.truststore.type": "PEM",
        "ssl.truststore.location": str(settings.home.parent / "authority.crt"),
        # Without the listener's name it would not count for SASL_SSL.
        "listener.name.outside.ssl.client.auth": "required",
        "listener.name.outside.sasl.enabled.mechanisms": "PLAIN,SCRAM-SHA-512",
        "listener.name.outside.plain.sasl.jaas.config": f'{_PLAIN} user_penstock="{quoted}";',
        "listener.name.outside.scram-sha-512.sasl.jaas.config": f"{_SCRAM};",
    }

    def prepare() -> None:
        service.prepare()
        (settings.home.parent / "server.pem").write_text(key.read_text() + certificate.read_text())
        with (service.folder / "server.properties").open("a") as file:
            file.writelines(f"{name}={_escaped(value)}\n" for name, value in lines.items())

    return replace(service, prepare=prepare, probe=lambda: _listens(settings.ports.kafka))


def let_in_by_scram(settings: Settings) -> Settings:
    """The settings of a client of the running broker that logs in with SCRAM, under a name that PLAIN does not know."""
    admin = AdminClient({"bootstrap.servers": f"127.0.0.1:{settings.ports.kafka_internal}"})
    how = ScramCredentialInfo(ScramMechanism.SCRAM_SHA_512, 4_096)
    added = UserScramCredentialUpsertion("by-scram", how, NASTY.encode())
    for done in admin.alter_user_scram_credentials([added]).values():
        done.result(_TIMEOUT_S)
    return changed(settings, kafka={"sasl_mechanism": "SCRAM-SHA-512", "sasl_username": "by-scram"})


def guarded_cassandra(settings: Settings, java: Java) -> Service:
    """PasswordAuthenticator and encryption required; certificates are those of `secured`."""
    service = cassandra(settings, java)
    file = service.folder / "cassandra.yaml"

    def prepare() -> None:
        service.prepare()
        changes = {"authenticator": "PasswordAuthenticator", "client_encryption_options": _encryption(settings)}
        file.write_text(json.dumps(json.loads(file.read_text()) | changes))

    return replace(service, prepare=prepare, probe=lambda: _serves(settings))


def let_in_by_password(settings: Settings) -> Settings:
    """The settings of a client of the running Cassandra whose password is not the one that each begins with."""
    quoted = NASTY.replace("'", "''")
    with Store(settings.cassandra) as store:
        store.define(f"CREATE ROLE penstock WITH PASSWORD = '{quoted}' AND LOGIN = true AND SUPERUSER = true")
    return changed(settings, cassandra={"username": "penstock", "password": NASTY})


def secured(settings: Settings) -> Settings:
    """The settings of a client of both, which shows a certificate of its own whose key has a password."""
    authority = Authority(settings.home.parent)
    authority.sign("server")
    certificate, key = authority.sign("client", NASTY)
    files = {
        "ssl_ca_location": str(authority.file),
        "ssl_certificate_location": str(certificate),
        "ssl_key_location": str(key),
        "ssl_key_password": NASTY,
    }
    sasl = {"sasl_mechanism": "PLAIN", "sasl_username": "penstock", "sasl_password": NASTY}
    login = {"ssl": True, "username": "cassandra", "password": "cassandra"}
    return changed(
        settings,
        kafka={**files, **sasl, "security_protocol": "SASL_SSL", "delivery_timeout_s": 20},
        cassandra={**files, **login},
    )


def listening_elsewhere(home: Path, least: int) -> list[str]:
    """Of the addresses at which this home's processes listen, `least` or more, those beyond this machine."""
    found = [
        one.laddr.ip
        for process in processes_of(home)
        for one in process.net_connections("inet")
        if one.status == psutil.CONN_LISTEN
    ]
    assert len(found) >= least
    return [address for address in found if not ip_address(address.removeprefix("::ffff:")).is_loopback]


def changed(settings: Settings, **sections: Mapping[str, object]) -> Settings:
    """The same settings but for these, checked as if they had been read."""
    return Settings.model_validate(
        {**dict(settings), **{name: {**dict(getattr(settings, name)), **values} for name, values in sections.items()}}
    )


def _server_files(settings: Settings) -> tuple[Path, Path]:
    return settings.home.parent / "server.crt", settings.home.parent / "server.key"


def _escaped(value: str) -> str:
    """As a file of Java's properties has it: a backslash escapes, and what is not Latin-1 must be escaped."""
    return "".join(f"\\u{ord(sign):04x}" if sign == "\\" or not sign.isascii() else sign for sign in value)


def _encryption(settings: Settings) -> Mapping[str, object]:
    folder = settings.home.parent
    own, own_password = tls.java_key_store(tls.Identity(*_server_files(settings)), folder)
    trusted, password = tls.java_trust_store(str(folder / "authority.crt"), folder)
    return {
        "enabled": True,
        "optional": False,
        "keystore": str(own),
        "keystore_password": own_password,
        "truststore": str(trusted),
        "truststore_password": password,
        "require_client_auth": True,
        "store_type": "PKCS12",
    }


def _listens(port: int) -> None:
    try:
        socket.create_connection(("127.0.0.1", port), 3).close()
    except OSError as error:
        raise NotReady(str(error)) from error


def _serves(settings: Settings) -> None:
    _listens(settings.ports.cassandra)
    try:
        with Store(settings.cassandra):
            pass
    except StoreError as error:
        raise NotReady(str(error)) from error
