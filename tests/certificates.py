"""An authority of a test's own, and certificates that it signs."""

from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

DAY = timedelta(days=1)


class Authority:
    """Its certificate is `file`; each `sign` leaves NAME.crt and NAME.key beside it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.file = folder / "authority.crt"
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _named("the test's authority")
        certificate = (
            _certificate(self._name, self._name)
            .public_key(self._key.public_key())
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .sign(self._key, hashes.SHA256())
        )
        self.file.write_bytes(certificate.public_bytes(Encoding.PEM))

    def sign(self, name: str, password: str = "", address: str = "127.0.0.1") -> tuple[Path, Path]:
        """Files of a certificate for `address`, or the name of a host, and of its key."""
        key = ec.generate_private_key(ec.SECP256R1())
        is_address = address[0].isdigit() or ":" in address
        named = x509.IPAddress(ip_address(address)) if is_address else x509.DNSName(address)
        names = x509.SubjectAlternativeName([named])
        certificate = (
            _certificate(_named(name), self._name)
            .public_key(key.public_key())
            .add_extension(names, critical=False)
            .sign(self._key, hashes.SHA256())
        )
        secret = BestAvailableEncryption(password.encode()) if password else NoEncryption()
        files = self.folder / f"{name}.crt", self.folder / f"{name}.key"
        files[0].write_bytes(certificate.public_bytes(Encoding.PEM))
        files[1].write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, secret))
        return files


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _certificate(subject: x509.Name, issuer: x509.Name) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder(issuer, subject).serial_number(x509.random_serial_number())
    return builder.not_valid_before(now - DAY).not_valid_after(now + DAY)
