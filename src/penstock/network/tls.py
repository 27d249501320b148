"""Certificates and keys: given as PEM files, as OpenSSL's clients take them, handed on in the forms that Java reads."""

import errno
import hashlib
import os
import ssl
from dataclasses import dataclass
from pathlib import Path
from tempfile import NamedTemporaryFile

import truststore
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
    pkcs12,
)

from penstock.errors import ConfigError, NetworkError
from penstock.network import proxies

_TRUSTED_PASSWORD = "penstock"  # noqa: S105 - a store of public certificates; Java wants one for its check sum


@dataclass(frozen=True)
class Identity:
    """A client's certificate (with its chain) and private key; `password` is empty where the key has none."""

    certificate: Path
    key: Path
    password: str = ""

    def chain_pem(self) -> str:
        return _text("ssl_certificate_location", self.certificate)

    def key_pem(self) -> str:
        """The key as PKCS#8 without a password, the one form that Java reads from PEM. Never for a log or a disk."""
        return self._key().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()

    def store(self, password: str) -> bytes:
        """Both as a PKCS#12 store."""
        own, *chain = _certificates("ssl_certificate_location", self.certificate)
        return pkcs12.serialize_key_and_certificates(
            b"client", self._key(), own, chain, BestAvailableEncryption(password.encode())
        )

    def _key(self) -> rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey:
        content = _text("ssl_key_location", self.key).encode()
        try:
            key = load_pem_private_key(content, self.password.encode() or None)
        except (ValueError, TypeError) as error:
            raise ConfigError(
                f"setting ssl_key_location is {self.key}, which is no private key in PEM that ssl_key_password opens: "
                f"{error}"
            ) from error
        if not isinstance(key, (rsa.RSAPrivateKey, ec.EllipticCurvePrivateKey, ed25519.Ed25519PrivateKey)):
            raise ConfigError(f"setting ssl_key_location is {self.key}, which is neither an RSA, EC nor Ed25519 key")
        return key


def identity(certificate: str, key: str, password: str) -> Identity | None:
    """The client's, or None where it shows no certificate; a key may stand in the certificate's file."""
    return Identity(Path(certificate), Path(key or certificate), password) if certificate else None


def trusted_pem(authority: str) -> str:
    """The authorities' certificates as text."""
    return _text("ssl_ca_location", Path(authority))


def client_context(authority: str, who: Identity | None, *, verify_hostname: bool) -> ssl.SSLContext:
    """The TLS context of a Python client; without an `authority` it trusts those that `penstock.network.proxies` names.

    Raises:
        ConfigError: a file cannot be read or is not PEM.
        NetworkError: the same of what the environment names.
    """
    try:
        context = _trusting(authority, "") if authority else _trusting_the_environments()
        if who:
            context.load_cert_chain(who.certificate, who.key, who.password)
    except (OSError, ValueError) as error:  # ssl.SSLError is the former, too long a password the latter
        files = ", ".join(str(file) for file in (authority, who and who.certificate, who and who.key) if file)
        raise ConfigError(f"certificates and keys in {files} cannot be used: {error}") from error
    context.check_hostname = verify_hostname
    return context


def _trusting_the_environments() -> ssl.SSLContext:
    file, folders = proxies.trusted()
    try:
        # OpenSSL takes a folder that is not there for one without a certificate.
        if not file and folders and not any(Path(folder).is_dir() for folder in folders.split(os.pathsep)):
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
        return _trusting(file, folders)
    except (OSError, ValueError) as error:
        name, place = ("SSL_CERT_FILE", file) if file else ("SSL_CERT_DIR", folders)
        raise NetworkError(
            f"{name} in the environment is {place}, which cannot be used: {error}",
            f"Name {'a file of certificates in PEM' if file else 'a folder of certificates'}, or unset it to trust the "
            "system's store",
        ) from error


def _trusting(file: str, folder: str) -> ssl.SSLContext:
    if not file and not folder:
        return truststore.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    # Not `create_default_context`: from Python 3.13 on it refuses authorities that the system's tools take.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(file or None, folder or None)
    return context


def java_trust_store(authority: str, folder: Path) -> tuple[Path, str]:
    """File and password of a store with these authorities, written into `folder` under a name of its contents."""
    trusted = [pkcs12.PKCS12Certificate(one, None) for one in _certificates("ssl_ca_location", Path(authority))]
    content = pkcs12.serialize_java_truststore(trusted, BestAvailableEncryption(_TRUSTED_PASSWORD.encode()))
    return _written(folder, "trusted", trusted_pem(authority), content), _TRUSTED_PASSWORD


def java_key_store(who: Identity, folder: Path) -> tuple[Path, str]:
    """File and password of a store with the client's certificate and key. Only its owner can read the file."""
    key = who.key_pem()
    # The same for the same key, so that two processes which write the store at once write the same one.
    password = hashlib.sha256(key.encode()).hexdigest()
    return _written(folder, "client", who.chain_pem() + key, who.store(password)), password


def _certificates(setting: str, file: Path) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(_text(setting, file).encode())
    except ValueError as error:
        raise ConfigError(f"setting {setting} is {file}, which holds no certificate in PEM: {error}") from error


def _text(setting: str, file: Path) -> str:
    try:
        return file.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"setting {setting} is {file}, which cannot be read: {error}") from error


def _written(folder: Path, kind: str, source: str, content: bytes) -> Path:
    file = folder / f"{kind}-{hashlib.sha256(source.encode()).hexdigest()[:16]}.p12"
    if not file.exists():
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with NamedTemporaryFile(dir=folder, delete=False) as draft:  # created with mode 0600
            draft.write(content)
        Path(draft.name).replace(file)
    return file
