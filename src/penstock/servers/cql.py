"""One CQL query over one connection: how a node proves that it serves clients.

The driver would do it too, but it leaves threads behind, writes warnings while a node comes up and adds tens of
megabytes to the launcher. This is Cassandra's native protocol, version 4, which every node from 2.2 to 5.0 speaks:
https://github.com/apache/cassandra/blob/cassandra-5.0/doc/native_protocol_v4.spec
"""

import socket
import ssl
import struct
from dataclasses import dataclass
from typing import BinaryIO

from pydantic import SecretStr

from penstock.launcher.service import NotReady

QUERY = b"SELECT release_version FROM system.local"

_TIMEOUT_S = 3
_LONGEST_ANSWER_BYTES = 64 * 1024

_VERSION = 4
_HEADER = struct.Struct(">BBhBi")  # version, flags, stream, opcode, length of the body
_ERROR, _STARTUP, _READY, _DO_QUERY, _RESULT = 0x00, 0x01, 0x02, 0x07, 0x08
_AUTHENTICATE, _AUTH_RESPONSE, _AUTH_SUCCESS, _BAD_CREDENTIALS = 0x03, 0x0F, 0x10, 0x0100
_ROWS = struct.pack(">i", 2)
_CONSISTENCY_ONE = 1


@dataclass(frozen=True)
class Credentials:
    """How a secure node is asked: over TLS, with a certificate, then with a password."""

    context: ssl.SSLContext
    name: str
    password: SecretStr


def ask(host: str, port: int, credentials: Credentials | None = None) -> None:
    """Returns when the node on `host` answered `QUERY` with rows.

    A node that looked for the role of `credentials` and has none is ready too: roles are made once it is.

    Raises:
        NotReady: it did not; says what it did instead. One that wants credentials is asked no further without.
    """
    try:
        with _connected(host, port, credentials) as connection, connection.makefile("rb") as answers:
            connection.sendall(_frame(_STARTUP, struct.pack(">H", 1) + _text(b"CQL_VERSION") + _text(b"3.0.0")))
            _expect(answers, _AUTHENTICATE if credentials else _READY)
            if credentials:
                connection.sendall(_frame(_AUTH_RESPONSE, _proof(credentials)))
                if not _is_known(answers):
                    return
            question = struct.pack(">i", len(QUERY)) + QUERY + struct.pack(">HB", _CONSISTENCY_ONE, 0)
            connection.sendall(_frame(_DO_QUERY, question))
            if not _expect(answers, _RESULT).startswith(_ROWS):
                raise NotReady(f"{host}:{port} answered {QUERY.decode()} without rows")
    except OSError as error:
        raise NotReady(f"no CQL on {host}:{port}: {error}") from error


def _connected(host: str, port: int, credentials: Credentials | None) -> socket.socket:
    connection = socket.create_connection((host, port), _TIMEOUT_S)
    if not credentials:
        return connection
    try:
        return credentials.context.wrap_socket(connection, server_hostname=host)
    except BaseException:
        connection.close()
        raise


def _proof(credentials: Credentials) -> bytes:
    """SASL's PLAIN: https://www.rfc-editor.org/rfc/rfc4616"""
    token = f"\0{credentials.name}\0{credentials.password.get_secret_value()}".encode()
    return struct.pack(">i", len(token)) + token


def _is_known(answers: BinaryIO) -> bool:
    opcode, body = _answer(answers)
    if opcode == _ERROR and body[:4] == struct.pack(">i", _BAD_CREDENTIALS):
        return False
    _check(opcode, body, _AUTH_SUCCESS)
    return True


def _frame(opcode: int, body: bytes) -> bytes:
    return _HEADER.pack(_VERSION, 0, 0, opcode, len(body)) + body


def _text(value: bytes) -> bytes:
    return struct.pack(">H", len(value)) + value


def _expect(answers: BinaryIO, wanted: int) -> bytes:
    opcode, body = _answer(answers)
    _check(opcode, body, wanted)
    return body


def _answer(answers: BinaryIO) -> tuple[int, bytes]:
    _, _, _, opcode, length = _HEADER.unpack(_read(answers, _HEADER.size))
    if not 0 <= length <= _LONGEST_ANSWER_BYTES:
        raise NotReady(f"the answer is not CQL: it claims {length} bytes")
    return opcode, _read(answers, length)


def _check(opcode: int, body: bytes, wanted: int) -> None:
    if opcode != wanted:
        what = f"error {body[6:].decode('utf-8', 'replace')!r}" if opcode == _ERROR else f"opcode {opcode}"
        raise NotReady(f"CQL answered {what} where opcode {wanted} was due")


def _read(answers: BinaryIO, length: int) -> bytes:
    data = answers.read(length)
    if len(data) < length:
        raise NotReady("the connection was closed in mid-answer")
    return data
