"""The doctor: looks at machine, servers and settings before they are needed, and says what to do.

Each file is one subject; a check takes settings and returns findings, starts nothing and waits a few seconds at most.
A server of the local stack that is not running is no failure: `penstock up` would start it. One that the settings name
elsewhere is.

A check that a command makes before it starts something is in the package of that thing, and called from here.
"""

from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from urllib.parse import urlsplit

from penstock.config import LOOPBACK, Ports, Settings
from penstock.doctor import (
    cassandra,
    docker,
    downloads,
    environment,
    java,
    kafka,
    machine,
    ports,
    postgres,
    spark,
    stream,
    web,
)
from penstock.doctor.finding import Finding, Grade, failed, note
from penstock.doctor.reach import Server, reached
from penstock.errors import ConfigError, ContractError, NetworkError, PenstockError
from penstock.extras import not_installed
from penstock.network import http
from penstock.network.listening import addresses
from penstock.network.proxies import proxy_of
from penstock.pipelines.contract import Pipeline
from penstock.pipelines.project import declarations
from penstock.servers.stack import stack
from penstock.source.api import address
from penstock.urls import shown

Check = Callable[[Settings, Pipeline], Iterable[Finding]]
"""Of one pipeline at one server."""

__all__ = ["Finding", "Grade", "examine", "of_web"]


def examine(settings: Settings) -> Iterator[Finding]:
    """Every check, the quick ones first."""
    local = settings.of_local_stack()
    stands = settings.kafka.bootstrap_servers == local.kafka.bootstrap_servers
    yield machine.python()
    yield machine.parts()
    yield from machine.folders(settings)
    if stands:
        yield machine.memory()
    yield machine.executable_tmp()
    yield machine.proxies()
    yield machine.trust()
    yield environment.environment(settings)
    yield java.runtime(settings)
    yield java.cache(settings)
    yield downloads.index(settings)
    yield downloads.maven(settings)
    yield from java.lines()
    yield from docker.docker()
    if stands:
        yield from _stack(settings)
    pipelines = yield from _declared(settings)
    if not pipelines:
        return
    yield from _servers(settings, local, pipelines)
    for pipeline in pipelines:
        yield from _named(pipeline, pipelines, [stream.checkpoint_of(settings, pipeline)])
    yield from stream.queries(settings, pipelines)


def _declared(settings: Settings) -> Generator[Finding, None, list[Pipeline]]:
    """What is wrong with the project's declarations; returns the sound ones."""
    try:
        found = declarations(settings)
    except (ConfigError, ContractError) as error:
        yield failed("pipelines", str(error), "Correct pipelines, or what is in the project's folder")
        return []
    for each in found:
        if each.error:
            yield failed("pipeline", str(each.error), f"Correct {each.place}; penstock check says whether it is sound")
    return [each.pipeline for each in found if each.pipeline]


def _named(pipeline: Pipeline, all_of_them: Sequence[Pipeline], findings: Iterable[Finding]) -> Iterator[Finding]:
    """With the pipeline's name in the subject, where there are several."""
    for one in findings:
        yield replace(one, subject=f"{one.subject} of {pipeline.name}") if len(all_of_them) > 1 else one


def _once(settings: Settings, check: Check, pipelines: Sequence[Pipeline]) -> Iterator[Finding]:
    """What a server is asked for each pipeline; what is found for several of them is told once."""
    yield from dict.fromkeys(finding for pipeline in pipelines for finding in check(settings, pipeline))


def _stack(settings: Settings) -> Iterator[Finding]:
    try:
        services = stack(settings)
    except ModuleNotFoundError as error:
        yield note("stack", f"none can be started here: {not_installed(error) or error}")
        return
    except (PenstockError, OSError) as error:
        yield failed("stack", str(error), "Correct what it names")
        return
    yield from ports.ports(settings, services)
    yield ports.leftovers(settings)


def _servers(settings: Settings, local: Settings, pipelines: Sequence[Pipeline]) -> Iterator[Finding]:
    for server in _of_data(settings, local, pipelines):
        yield from reached(server)
    yield from of_web(settings, *pipelines)


def _of_data(settings: Settings, local: Settings, pipelines: Sequence[Pipeline]) -> Iterator[Server]:
    brokers, nodes, master = settings.kafka.bootstrap_servers, settings.cassandra.contact_points, settings.spark.master
    yield Server(
        name="kafka",
        addresses=addresses(brokers, Ports().kafka),
        setting="kafka.bootstrap_servers",
        local=brokers == local.kafka.bootstrap_servers,
        check=partial(_once, settings, kafka.kafka, pipelines),
    )
    yield Server(
        name="cassandra",
        addresses=addresses(nodes, settings.cassandra.port),
        setting="cassandra.contact_points",
        local=(nodes, settings.cassandra.port) == (local.cassandra.contact_points, local.cassandra.port),
        check=partial(_once, settings, cassandra.cassandra, pipelines),
    )
    if master.startswith("spark://"):
        yield Server(
            name="spark",
            addresses=addresses(master.removeprefix("spark://"), Ports().spark_master),
            setting="spark.master",
            local=master == local.spark.master,
            check=partial(spark.spark, settings, spark.pages(settings, local=master == local.spark.master)),
        )
    if settings.hosts.postgres == LOOPBACK:  # in containers nobody reaches it but Airflow, who is asked
        yield Server(
            name="postgres",
            addresses=[(settings.hosts.postgres, settings.ports.postgres)],
            setting="ports.postgres",
            local=True,  # whoever names an Airflow of their own needs none
            check=lambda: [postgres.postgres(settings)],
        )


def of_web(settings: Settings, *pipelines: Pipeline) -> Iterator[Finding]:
    """Airflow and the APIs. Whoever names one of their own expects it to be there; only the local ones may be down."""
    local = settings.of_local_stack()
    airflow = settings.airflow
    stands = airflow.url == local.airflow.url
    yield from _asked(settings, "airflow", airflow.url, partial(web.airflow, settings), stands, airflow.ssl_ca_location)
    for pipeline in pipelines:
        api = address(pipeline.name, pipeline.source, settings.source)
        found = _asked(settings, "api", api, partial(web.api, settings, pipeline), api == local.source.simulator)
        yield from _named(pipeline, pipelines, found)


def _asked(
    settings: Settings, name: str, url: str, check: Callable[[], Iterable[Finding]], local: bool, authority: str = ""
) -> Iterator[Finding]:
    """What `check` finds at the URL, if there is a way to it: to its host, or to the proxy before it."""
    host, port, scheme = _parts(url)
    setting = {"airflow": "airflow.url", "api": "source.urls"}[name]
    try:
        http.check_way(scheme, host, settings.own_hosts(), authority)
    except NetworkError as error:
        yield failed(name, error.what, error.remedy)
        return
    except ConfigError:
        pass  # about the authority, of which the check tells
    if proxy := proxy_of(scheme, host, settings.own_hosts()):
        host, port, setting = *_parts(proxy if "://" in proxy else f"http://{proxy}")[:2], _proxy(scheme, host)
    yield from reached(Server(name, [(host, port)], setting, local, check))


def _proxy(scheme: str, host: str) -> str:
    return f"the environment's proxy ({scheme}_proxy), or name {host} in no_proxy"


def _parts(url: str) -> tuple[str, int, str]:
    """Host, port and scheme."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:  # whose text repeats what it could not read, which may be a piece of a password
        raise ConfigError(f"{shown(url)} (source.urls, airflow.url or a proxy) is no address") from None
    return parts.hostname or "", port or (443 if parts.scheme == "https" else 80), parts.scheme
