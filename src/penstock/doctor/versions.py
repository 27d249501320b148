"""The oldest version of each server that may be used, why, and the one that is tested."""

import re
from dataclasses import dataclass

from penstock import extras
from penstock.doctor.finding import Finding, failed, fine
from penstock.servers import postgres
from penstock.servers.jars.locked import version_of
from penstock.servers.spark import SCALA

Version = tuple[int, ...]


@dataclass(frozen=True)
class Line:
    """Versions of one server, from the oldest on."""

    name: str
    oldest: Version
    because: str
    """What an older one lacks."""
    tested: str

    def allows(self, version: str) -> bool:
        return parsed(version) >= self.oldest

    @property
    def fix(self) -> str:
        return f"Use {self.name} {shown(self.oldest)} or newer: {self.because}. {self.tested} is tested"

    def judged(self, subject: str, version: str, said: str = "") -> Finding:
        """Fine, in the words of `said` or the version's own; or failed."""
        if self.allows(version):
            return fine(subject, said or version)
        return failed(subject, f"is version {version}", self.fix)


def parsed(version: str) -> Version:
    """The numbers before any suffix: 2.8-IV1 is (2, 8), v2.20.2+ds1 is (2, 20, 2)."""
    found = re.search(r"\d+(\.\d+)*", version)
    return tuple(map(int, found[0].split("."))) if found else ()


def shown(version: Version) -> str:
    return ".".join(map(str, version))


KAFKA = Line(
    "Kafka",
    # Topic ids: KIP-516. kafka-clients 3.9.2 and librdkafka 2.16 speak with older ones too.
    (2, 8),
    "topics of an older one have no id, by which a stream learns that its topic was made again",
    version_of("kafka", f"kafka_{SCALA}"),
)
CASSANDRA = Line(
    "Cassandra",
    (3, 0),
    "an older one has no system_schema",
    version_of("cassandra", "cassandra-all"),
)
AIRFLOW = Line(
    "Airflow",
    # https://airflow.apache.org/docs/apache-airflow/3.0.0/installation/upgrading_to_airflow3.html
    (3, 0),
    "an older one has neither the API v2 nor runs without a logical date",
    extras.version("apache-airflow"),
)
POSTGRES = Line(
    "PostgreSQL",
    # "Requirements" in the README of Airflow 3.3.2.
    (14,),
    "Airflow supports no older one",
    str(postgres.MAJOR),
)
DOCKER = Line(
    "Docker",
    # Debian 12's, on which `scripts/test-compose` runs.
    (20, 10),
    "compose.yaml was never run on an older one",
    "20.10.24",
)
COMPOSE = Line(
    "Docker Compose",
    # `content` in https://docs.docker.com/reference/compose-file/configs/
    (2, 23, 1),
    "an older one refuses compose.yaml for its `configs` with `content`",
    # COMPOSE_MODULE in tests/compose/engine.py
    "5.5.1",
)
