"""Spark's standalone master: is it of the line of the pyspark here, which is the driver's.

One of another line takes the application, and fails it later: driver and executors do not read each other's objects.
"""

import re
from collections.abc import Iterator, Sequence
from http import HTTPStatus

from penstock import extras
from penstock.config import Ports, Settings
from penstock.doctor.finding import Finding, failed, fine, note
from penstock.doctor.versions import parsed, shown
from penstock.doctor.web import get
from penstock.network.listening import addresses

PAGE_PORT = "spark.master.ui.port"
"""Spark's own name for the port of the master's page, from which alone its version is learnt."""
# https://spark.apache.org/docs/4.2.0/spark-standalone.html
_PAGE_PORT_OF_SPARK = "8080"
# Resources the logo on every page; UIUtils.scala of 4.2.0 and before.
_VERSION = re.compile(r'class="version\b[^>]*>\s*(\d[^<\s]*)')


def pages(settings: Settings, *, local: bool) -> list[str]:
    """Where the masters' pages are, as far as that is known."""
    port = str(settings.ports.spark_master_ui) if local else settings.spark.conf.get(PAGE_PORT, _PAGE_PORT_OF_SPARK)
    hosts = [host for host, _ in addresses(settings.spark.master.removeprefix("spark://"), Ports().spark_master)]
    return [f"http://{host}:{port}/" for host in hosts]


def spark(settings: Settings, asked: Sequence[str], wheel: str | None = None) -> Iterator[Finding]:
    """Compares the version of a master that answers with the installed one; `asked` are the pages of the masters."""
    wheel = wheel or extras.version("pyspark")
    yield fine("spark", f"{settings.spark.master} answers")
    told = sorted({version for page in asked if (version := _version(settings, page))})
    if not told:
        fix = f'Where is its page? Say so in [spark.conf]: "{PAGE_PORT}" = "8080"'
        yield note("spark version", f"no page at {', '.join(asked)} tells it", fix)
    for version in told:
        yield _compared(version, wheel)


def _compared(version: str, wheel: str) -> Finding:
    ours, theirs = shown(parsed(wheel)[:2]), shown(parsed(version)[:2])
    if ours == theirs:
        return fine("spark version", version)
    return failed(
        "spark version",
        f"the master is of {version}, pyspark here of {wheel}",
        f"Use a master and workers of Spark {ours}, or have the stream run here: PENSTOCK_SPARK_MASTER='local[2]'",
    )


def _version(settings: Settings, page: str) -> str:
    answer = get(settings, page, {})
    if isinstance(answer, str) or answer.status_code != HTTPStatus.OK:
        return ""
    found = _VERSION.search(answer.text)
    return found[1] if found else ""
