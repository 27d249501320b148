"""New secrets for a secure stack that runs. It can be killed at any moment, and called again.

The clients of Kafka and Cassandra come first: their new passwords are kept beside the old ones, given to the servers,
and made the ones that count. Then group after group of services gets what only its members know, and is started anew.
Connections that are open stay open all the while; a client that connects anew before its own restart is refused, and
attempts it again.
"""

from collections.abc import Callable
from typing import NamedTuple

from penstock.cassandra import Store
from penstock.cassandra.access import await_password, give_password
from penstock.cli.support.admission import STORES, administrator, alone
from penstock.config import LOOPBACK, Settings
from penstock.errors import ServiceError, StoreError
from penstock.extras import version
from penstock.kafka.access import Access
from penstock.launcher import control
from penstock.launcher.restart import restart
from penstock.launcher.state import Phase
from penstock.locks import HeldError, held
from penstock.servers import console_token
from penstock.servers.access import SPARK, by_certificate, cassandra_settings
from penstock.servers.airflow import Components
from penstock.servers.data_format import require_secure
from penstock.servers.nodes import names, workers
from penstock.servers.principals import IN_KAFKA, WITH_PASSWORD, Principal
from penstock.servers.secrets import OF_AIRFLOW, begin_rotation, end_rotation, renew

POSTGRES = "postgres"
AIRFLOW = ("airflow-scheduler", "airflow-api-server", "airflow-dag-processor", "airflow-triggerer", "console")
"""In the order in which they are ended. The scheduler ends when the tasks that run are over: until then the api-server
takes the tokens that they have, and then at once those of the next ones. The console logs in to Airflow.
"""


class Rotated(NamedTuple):
    """What a rotation has changed."""

    secrets: list[str]
    """Their names: of principals, of settings, and Spark's."""
    restarted: list[str]
    """The services that were started anew."""


def rotate(settings: Settings, say: Callable[[str], None] = lambda _: None) -> Rotated:
    """`say` is told what comes next. In containers only the clients of Kafka and Cassandra get new passwords:
    nothing is known there of the other parts.

    Raises:
        ConfigError: the stack is not secure.
        ServiceError: Kafka, Cassandra or Postgres does not run, the stack is still starting, runs with other settings,
            by another version of Penstock or with nobody to start a service anew, another rotation is under way, or a
            service does not come back.
        BrokerError, StoreError: one of the two refused, or goes on with a former password; it is to be called again.
    """
    require_secure(settings)
    if settings.hosts.kafka != LOOPBACK:
        _rotate_clients(settings)
        return Rotated([*WITH_PASSWORD], [])
    try:
        # One would forget what the other has just made, and Postgres has.
        with held(settings.home / "run" / "rotation.lock"):
            return _rotate_all(settings, say)
    except HeldError as error:
        raise ServiceError(
            f"process {error.holder} is rotating the secrets of {settings.home}: wait for it, or end it and call again"
        ) from error


def _rotate_all(settings: Settings, say: Callable[[str], None]) -> Rotated:
    with_airflow = POSTGRES in _required(settings)
    say("Kafka and Cassandra: new passwords for their clients")
    _rotate_clients(settings)
    done = Rotated([*WITH_PASSWORD], [])
    say("Airflow and the console start anew, once the tasks that run are over")
    if with_airflow:
        done.secrets.extend(renew(settings, OF_AIRFLOW))
    done.secrets.extend(["console.token"] if console_token.renew(settings) else [])
    done.restarted.extend(restart(settings, AIRFLOW))
    if with_airflow:
        Components(settings).end_rotation()
    say("Spark starts anew, and the stream goes on at its checkpoint")
    done.secrets.extend(renew(settings, [SPARK]))
    done.restarted.extend(restart(settings, ("stream", "spark-master", *names(workers(settings)))))
    return done


def _required(settings: Settings) -> set[str]:
    """The servers that are to be told new passwords; Postgres only where the stack has been started with it."""
    secure = settings.model_copy(update={"stack": settings.stack.model_copy(update={"secure": True})})
    if changed := control.differing(secure):
        raise ServiceError(
            f"the stack in {settings.home} runs with other settings than these: {', '.join(changed)}. "
            "Call this with those of its start"
        )
    now = control.status(settings, memory=False)
    if now.supervisor_pid is None and now.watchdog_pid is None:
        raise ServiceError(
            f"nobody watches the services of {settings.home}, so none would be started anew: penstock up --secure"
        )
    if (then := control.started_by(settings)) != (here := version("penstock")):
        raise ServiceError(
            f"the stack in {settings.home} was started by Penstock {then or 'of an earlier version'}, and this is "
            f"{here}: start it anew first (penstock down; penstock up --secure). The data stay"
        )
    found = {one.name: one.state for one in now.services}
    if coming := sorted(name for name, state in found.items() if state in (Phase.WAITING, Phase.STARTING)):
        raise ServiceError(
            f"{', '.join(coming)} of {settings.home} not ready yet: call this again once all are (penstock status)"
        )
    required = {*STORES, POSTGRES} if found.get(POSTGRES, Phase.STOPPED) is not Phase.STOPPED else {*STORES}
    if absent := sorted(name for name in required if found.get(name) is not Phase.READY):
        raise ServiceError(
            f"{', '.join(absent)} of {settings.home} not ready: passwords are changed in the running servers. "
            "Start them first: penstock up --secure"
        )
    return required


def _rotate_clients(settings: Settings) -> None:
    with alone(settings):
        _give_new_passwords(settings)


def _give_new_passwords(settings: Settings) -> None:
    rotation = begin_rotation(settings, WITH_PASSWORD)
    coming = {name: rotation.coming[name] for name in WITH_PASSWORD}
    Access(by_certificate(settings, Principal.ADMIN)).let_in(
        {name: coming[name].get_secret_value() for name in IN_KAFKA}
    )
    known_as = administrator(settings, rotation)
    if known_as is None:
        raise StoreError(
            f"cassandra takes neither password of the administrator in {settings.home}. Is it up (`penstock status`)? "
            "`penstock up --secure` says what is wrong"
        )
    with Store(known_as) as store:
        for name in WITH_PASSWORD:
            give_password(store, cassandra_settings(settings, name, coming[name]))
    for name in WITH_PASSWORD:
        await_password(cassandra_settings(settings, name, coming[name]))
    end_rotation(settings)
