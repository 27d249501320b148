"""How the Python driver reaches a cluster, before any node answers."""

import socket
import ssl
import threading
from pathlib import Path

import pytest

from penstock.cassandra import Store
from penstock.config import CassandraSettings
from penstock.errors import StoreError
from tests.certificates import Authority


def hears(listener: socket.socket, context: ssl.SSLContext, heard: list[bytes]) -> None:
    """What the first client says, once it believes that we are who it called."""
    connection, _ = listener.accept()
    try:
        with context.wrap_socket(connection, server_side=True) as secured:
            heard.append(secured.recv(1))
    except OSError:
        heard.append(b"")


@pytest.mark.parametrize(("called", "believed"), [("localhost", True), ("127.0.0.1", False)])
def test_a_nodes_certificate_must_have_the_name_by_which_it_was_called(
    tmp_path: Path, called: str, *, believed: bool
) -> None:
    authority = Authority(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*authority.sign("node", address="localhost"))
    heard: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        node = threading.Thread(target=hears, args=(listener, context, heard))
        node.start()
        settings = CassandraSettings(
            contact_points=called,
            port=listener.getsockname()[1],
            ssl=True,
            ssl_ca_location=str(authority.file),
            request_timeout_s=1,
        )
        with pytest.raises(StoreError):
            Store(settings).__enter__()
        node.join()
    assert bool(heard[0]) == believed
