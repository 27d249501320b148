"""The certificates of a secure stack: an authority of the home's own, and what it signs for servers and clients.

They stand in the home's folder `certificates`, which only its owner can enter. `penstock up` renews each one of which
less than a third of its life is left; a server or client that runs takes the new one at its next start. A container is
given its own (`penstock.servers.shares`), and makes and renews none.
"""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from penstock.config import CLUSTER, Settings
from penstock.errors import ConfigError
from penstock.launcher.state import write
from penstock.locks import held
from penstock.network.tls import Identity
from penstock.servers.principals import Principal

KAFKA, CASSANDRA = "kafka", "cassandra"
"""The names in the servers' certificates."""

_AUTHORITY = "authority"
_AUTHORITY_LIFE, _LIFE = timedelta(days=3_650), timedelta(days=365)
_CLOCKS_APART = timedelta(hours=1)
"""A certificate is good from a little earlier on, for a clock that is set back meanwhile."""
_LEFT = 3
"""Renewed when less than this part of the life is left."""


def trusted(settings: Settings) -> Path:
    """The file with the authority's certificate."""
    return _folder(settings) / f"{_AUTHORITY}.crt"


def identity(settings: Settings, name: str) -> Identity:
    """Certificate and key of a server or a principal."""
    return Identity(_folder(settings) / f"{name}.crt", _folder(settings) / f"{name}.key")


def certify(settings: Settings, now: datetime | None = None) -> list[str]:
    """Makes every certificate that is absent, and renews those whose time is nearly over; returns their names.

    Raises:
        ConfigError: a file that is there is no certificate or key; or they are made elsewhere, and were not given.
    """
    now = now or datetime.now(UTC)
    folder = _folder(settings)
    if settings.credentials:
        _require_given(folder)
        return []
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    with held(folder / ".lock", timeout_s=None):
        done = [_AUTHORITY] if _is_due(folder, _AUTHORITY, now) else []
        if done:
            _make_authority(folder, now)
        for name in (KAFKA, CASSANDRA, *Principal):
            hosts = _hosts(settings, name)
            if _is_due(folder, name, now) or not _is_signed(folder, name) or _named_hosts(folder, name) != hosts:
                _sign(folder, name, hosts, now)
                done.append(name)
    return done


def _folder(settings: Settings) -> Path:
    return Path(settings.credentials) if settings.credentials else settings.home / "certificates"


def _require_given(folder: Path) -> None:
    if not (folder / f"{_AUTHORITY}.crt").exists():
        raise ConfigError(
            f"{folder} has no certificates: in a secure stack of containers one makes them for all "
            "(`penstock secrets distribute`). For Compose: COMPOSE_PROFILES=secure beside PENSTOCK_STACK_SECURE=true"
        )


def _hosts(settings: Settings, name: str) -> list[str]:
    """The names of hosts by which a server is called; none of a client, which is not looked for by name."""
    called = {KAFKA: settings.hosts.kafka, CASSANDRA: settings.hosts.cassandra}
    return ["localhost", *({called[name]} - {*CLUSTER})] if name in called else []


def _named_hosts(folder: Path, name: str) -> list[str]:
    """Those that its certificate has."""
    try:
        names = _certificate(folder, name).extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except x509.ExtensionNotFound:
        return []
    return names.value.get_values_for_type(x509.DNSName)


def _is_due(folder: Path, name: str, now: datetime) -> bool:
    if not (folder / f"{name}.crt").exists() or not (folder / f"{name}.key").exists():
        return True
    found = _certificate(folder, name)
    life = found.not_valid_after_utc - found.not_valid_before_utc
    # Whoever was killed between the two files left a key that is not the certificate's.
    is_whole = found.public_key() == _key(folder, name).public_key()
    return not is_whole or found.not_valid_after_utc - now < life / _LEFT


def _is_signed(folder: Path, name: str) -> bool:
    """Whether by the authority that is there now."""
    try:
        _certificate(folder, name).verify_directly_issued_by(_certificate(folder, _AUTHORITY))
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def _certificate(folder: Path, name: str) -> x509.Certificate:
    file = folder / f"{name}.crt"
    try:
        return x509.load_pem_x509_certificates(file.read_bytes())[0]
    except ValueError as error:
        raise ConfigError(f"{file} is no certificate: {error}. Delete it, and the next start makes another") from error


def _key(folder: Path, name: str) -> ec.EllipticCurvePrivateKey:
    file = folder / f"{name}.key"
    try:
        key = load_pem_private_key(file.read_bytes(), None)
    except ValueError as error:
        raise ConfigError(f"{file} is no private key: {error}. Delete it, and the next start makes another") from error
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise ConfigError(f"{file} is no EC key, so it is not ours. Delete it, and the next start makes another")
    return key


def _make_authority(folder: Path, now: datetime) -> None:
    """Of a former authority that is still good the certificate stays trusted: clients may run that show its."""
    file, key = folder / f"{_AUTHORITY}.crt", ec.generate_private_key(ec.SECP256R1())
    # Two of one name could not be told apart by whoever trusts both.
    name = _named(f"penstock authority of {now:%Y-%m-%d %H:%M:%S}")
    built = (
        _built(name, name, key.public_key(), now, _AUTHORITY_LIFE)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
        .sign(key, hashes.SHA256())
    )
    former = x509.load_pem_x509_certificates(file.read_bytes())[:1] if file.exists() else []
    _write_key(folder / f"{_AUTHORITY}.key", key)
    write(file, _pem([built, *(one for one in former if one.not_valid_after_utc > now)]))


def _sign(folder: Path, name: str, hosts: Sequence[str], now: datetime) -> None:
    """For a server, which has `hosts`, or for a client."""
    signer, key = _certificate(folder, _AUTHORITY), ec.generate_private_key(ec.SECP256R1())
    # Servers are clients too: a broker of its own controller, a node of other nodes.
    server = [ExtendedKeyUsageOID.SERVER_AUTH] if hosts else []
    built = (
        _built(_named(name), signer.subject, key.public_key(), now, _LIFE)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([*server, ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
    )
    if server:
        here = [x509.IPAddress(ip_address(one)) for one in CLUSTER]
        names = x509.SubjectAlternativeName([*map(x509.DNSName, hosts), *here])
        built = built.add_extension(names, critical=False)
    _write_key(folder / f"{name}.key", key)
    write(folder / f"{name}.crt", _pem([built.sign(_key(folder, _AUTHORITY), hashes.SHA256())]))


def _built(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, now: datetime, life: timedelta
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _CLOCKS_APART)
        .not_valid_after(now + life)
    )


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _pem(certificates: Iterable[x509.Certificate]) -> str:
    return "".join(one.public_bytes(Encoding.PEM).decode() for one in certificates)


def _write_key(file: Path, key: ec.EllipticCurvePrivateKey) -> None:
    write(file, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode())
