"""New passwords for the clients of a secure stack that runs.

In this order, so that it can be killed at any moment and called again: the new passwords are kept beside the old
ones, given to Kafka and Cassandra, made the ones that count, and taken up by the services, which are started anew.
Connections that are open stay open all the while; between the second step and the last one a client that connects anew
is refused, and attempts it again.
"""

from penstock.cassandra import Store
from penstock.cassandra.access import await_password, give_password, is_let_in
from penstock.cli.support.admission import STORES
from penstock.config import LOOPBACK, CassandraSettings, Settings
from penstock.errors import ServiceError, StoreError
from penstock.kafka.access import Access
from penstock.launcher import control
from penstock.launcher.restart import restart
from penstock.launcher.state import Phase
from penstock.servers.access import by_certificate, cassandra_settings
from penstock.servers.data_format import require_secure
from penstock.servers.principals import IN_KAFKA, WITH_PASSWORD, Principal
from penstock.servers.secrets import Passwords, begin_rotation, end_rotation

USERS = ("stream", "console", "airflow-scheduler")
"""The services that have a password of a principal."""


def rotate(settings: Settings) -> tuple[list[str], list[str]]:
    """The names that have a new password, and the services that were started anew to use it.

    Raises:
        ConfigError: the stack is not secure.
        ServiceError: Kafka or Cassandra does not run, or a service does not come back.
        BrokerError, StoreError: one of the two refused, or goes on with a former password; it is to be called again.
    """
    require_secure(settings)
    if settings.hosts.kafka == LOOPBACK:  # of servers in containers nothing is known here, but whether they answer
        _require_stores(settings)
    rotation = begin_rotation(settings, WITH_PASSWORD)
    coming = {name: rotation.coming[name] for name in WITH_PASSWORD}
    Access(by_certificate(settings, Principal.ADMIN)).let_in(
        {name: coming[name].get_secret_value() for name in IN_KAFKA}
    )
    with Store(_administrator(settings, rotation)) as store:
        for name in WITH_PASSWORD:
            give_password(store, cassandra_settings(settings, name, coming[name]))
    for name in WITH_PASSWORD:
        await_password(cassandra_settings(settings, name, coming[name]))
    end_rotation(settings)
    return [*WITH_PASSWORD], restart(settings, USERS)


def _require_stores(settings: Settings) -> None:
    ready = {one.name for one in control.status(settings, memory=False).services if one.state is Phase.READY}
    if absent := [name for name in STORES if name not in ready]:
        raise ServiceError(
            f"{', '.join(absent)} of {settings.home} not ready: passwords are changed in the running servers. "
            "Start them first: penstock up --secure"
        )


def _administrator(settings: Settings, rotation: Passwords) -> CassandraSettings:
    """With the password that Cassandra takes: a rotation that was killed may have given it the new one."""
    for words in (rotation.now, rotation.coming):
        found = cassandra_settings(settings, Principal.ADMIN, words[Principal.ADMIN])
        if is_let_in(found):
            return found
    raise StoreError(
        f"cassandra takes neither password of the administrator in {settings.home}. Is it up (`penstock status`)? "
        "`penstock up --secure` says what is wrong"
    )
