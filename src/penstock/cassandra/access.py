"""Who is let into Cassandra and what each may do there. Asked by the administrator of a secure stack."""

import logging
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from pydantic import SecretStr
from tenacity import (
    Retrying,
    retry_if_exception,
    retry_if_exception_type,
    retry_if_result,
    stop_after_delay,
    wait_fixed,
)

from penstock.cassandra.table import Store
from penstock.config import CassandraSettings
from penstock.errors import StoreError

_FIRST = "cassandra"
"""Name and password of the superuser that Cassandra makes where there is no role yet:
https://cassandra.apache.org/doc/5.0/cassandra/managing/operating/security.html
"""
_FIRST_TIMEOUT_S = 120
"""For that one to be made: after the start of the node, in the background."""
_TAKEN_TIMEOUT_S = 60
"""For a node to take a new password: it keeps the former one for `credentials_validity`, 2 s where nobody set it."""
_TAKING = Retrying(
    retry=retry_if_result(lambda taken: not taken),
    stop=stop_after_delay(_TAKEN_TIMEOUT_S),
    wait=wait_fixed(0.5),
    retry_error_callback=lambda _: False,
)
_TOO_SOON, _TOO_SOON_TIMEOUT_S = "can only be changed every", 60
_ROLES = "SELECT role FROM system_auth.roles"
_GRANTED = "SELECT resource, permissions FROM system_auth.role_permissions WHERE role = ?"

Grant = tuple[str, str, str, str]
"""Role, keyspace, table, permission."""


def take_over(admin: CassandraSettings) -> None:
    """Makes the administrator of these settings the one superuser; returns when he is, and Cassandra's own is gone.

    Roles get as many copies as the settings give a keyspace: of one, nobody could log in while its node is away.

    Raises:
        StoreError: neither is let in.
    """
    Retrying(
        retry=retry_if_exception_type(StoreError),
        stop=stop_after_delay(_FIRST_TIMEOUT_S),
        wait=wait_fixed(1),
        reraise=True,
    )(_take_over, admin)


def _take_over(admin: CassandraSettings) -> None:
    if not is_let_in(admin):
        first = {"username": _FIRST, "password": SecretStr(_FIRST)}
        with _refusals_unlogged(), Store(admin.model_copy(update=first)) as store:
            if admin.replication_factor > 1:
                copies = {"class": "NetworkTopologyStrategy", admin.datacenter: admin.replication_factor}
                store.define(f"ALTER KEYSPACE system_auth WITH replication = {copies}")
            _create(store, admin, "SUPERUSER = true AND LOGIN = true")
    with Store(admin) as store:
        store.define(f"DROP ROLE IF EXISTS {_FIRST}")


def let_in(store: Store, clients: Iterable[CassandraSettings]) -> None:
    """Has each of these have its role, with its password and the right to log in."""
    known = {row["role"] for row in store.execute(_ROLES, ())}
    changed = []
    for one in clients:
        if one.username not in known:
            _create(store, one, "LOGIN = true")
        elif not is_let_in(one):
            give_password(store, one)
            changed.append(one)
    for one in changed:
        await_password(one)


def is_let_in(client: CassandraSettings) -> bool:
    """Whether the node takes its name and password; False also where it does not answer."""
    try:
        with _refusals_unlogged(), Store(client):
            return True
    except StoreError:
        return False


def give_password(store: Store, client: CassandraSettings) -> None:
    """Connections that are open stay open. Cassandra takes a second password only 5 s after the first one."""
    cql = f"ALTER ROLE \"{client.username}\" WITH PASSWORD = '{_quoted(client)}'"
    Retrying(
        retry=retry_if_exception(lambda error: isinstance(error, StoreError) and _TOO_SOON in str(error)),
        stop=stop_after_delay(_TOO_SOON_TIMEOUT_S),
        wait=wait_fixed(1),
        reraise=True,
    )(store.define, cql, f'ALTER ROLE "{client.username}" WITH PASSWORD')


def await_password(client: CassandraSettings) -> None:
    """Returns when the node takes this password, so no longer the one before it.

    Raises:
        StoreError: it does not within a minute.
    """
    if not _TAKING(is_let_in, client):
        raise StoreError(f"cassandra does not take the new password of {client.username} after {_TAKEN_TIMEOUT_S} s")


def allow(store: Store, roles: Iterable[str], wanted: Iterable[Grant]) -> None:
    """Has these roles have these rights and no others. None loses a right for a moment that it is to have."""
    wanted = list(wanted)
    for role in roles:
        right = {(f"{keyspace}.{table}", permission) for who, keyspace, table, permission in wanted if who == role}
        found = {
            (".".join(row["resource"].split("/")[1:]), permission)
            for row in store.execute(_GRANTED, (role,))
            for permission in row["permissions"] or ()
            if row["resource"].startswith("data/")
        }
        for table, permission in sorted(right - found):
            store.define(f'GRANT {permission} ON TABLE {table} TO "{role}"')
        for table, permission in sorted(found - right):
            store.define(f'REVOKE {permission} ON {_kind(table)} {table} FROM "{role}"')


def _kind(resource: str) -> str:
    return "TABLE" if "." in resource else "KEYSPACE" if resource else "ALL KEYSPACES"


def _create(store: Store, client: CassandraSettings, options: str) -> None:
    said = f'CREATE ROLE IF NOT EXISTS "{client.username}" WITH PASSWORD'
    store.define(f"{said} = '{_quoted(client)}' AND {options}", said)


def _quoted(client: CassandraSettings) -> str:
    return client.password.get_secret_value().replace("'", "''")


@contextmanager
def _refusals_unlogged() -> Iterator[None]:
    """The driver logs a refused log-in with a traceback; here it is one of two answers."""
    logger = logging.getLogger("cassandra")
    before = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(before)
