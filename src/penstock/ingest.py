"""The first half of the way: what the API has for a run -> messages in Kafka, every one acknowledged.

What the DAG's task calls is `run_ingest`. The same run and moment publish the same records under the same keys, so a
retry stores nothing twice; after a failure half of the records may be in the topic, and the retry sends all. A try that
went through is reported to the counts, by which `ledger.reconcile` knows what should arrive.
"""

import logging
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import Any
from uuid import uuid4

from pydantic import BaseModel, ConfigDict, Field
from tenacity import Retrying, retry_if_exception_type, stop_after_delay, wait_exponential

from penstock.cassandra import Counts, Flow, Report, Store, durable
from penstock.config import Settings
from penstock.errors import ConfigError, DeliveryError, SourceAnswerError, StoreError
from penstock.kafka import Broker, Message, Publisher
from penstock.network import http
from penstock.pipelines.contract import Pipeline
from penstock.pipelines.identity import message_key
from penstock.pipelines.record import Header, Rejected, from_api, to_bytes
from penstock.source import Api, Page, ahead, seed_for
from penstock.urls import shown

log = logging.getLogger(__name__)

# A header is for people; a name of ten megabytes in the API's answer must not become one.
_LONGEST_MESSAGE = 1_000
REPORT_LIMIT_S = 120
"""How long ingest waits for a Cassandra that takes its report; then the try fails, and the next one sends all again."""


@dataclass(frozen=True)
class Run:
    """One try of one run of a pipeline.

    `id` is Airflow's, or the name that somebody gave by hand. `attempt` is another one for each try, so that the counts
    can tell the messages of a try that went through from those of one that did not.
    """

    pipeline: Pipeline
    id: str
    attempt: str = ""

    @cached_property
    def headers(self) -> Mapping[str, str]:
        """What stands on every message of the run."""
        pipeline = self.pipeline
        attempt: dict[str, str] = {Header.ATTEMPT: self.attempt} if self.attempt else {}
        return {Header.PIPELINE: pipeline.name, Header.VERSION: str(pipeline.version), Header.RUN: self.id, **attempt}


class IngestReport(BaseModel):
    """What one run published. `fetched` is `acknowledged` + `rejected`, else there would be an error instead."""

    model_config = ConfigDict(frozen=True)

    run: str
    fetched: int
    """Items of the API's answers."""
    acknowledged: int
    """Records on the topic."""
    rejected: int
    """Items that are no record, as dead letters."""
    bytes: int
    """Kafka values, before compression."""
    seconds: float
    last: dict[int, int] = Field(default_factory=dict)
    """Partition of the topic -> offset of the run's last message there."""

    def sentence(self) -> str:
        return (
            f"run {self.run}: fetched {self.fetched} = acknowledged {self.acknowledged} + rejected {self.rejected}, "
            f"{self.bytes / 1e6:.1f} MB in {self.seconds:.1f} s"
        )


def records_asked(pipeline: Pipeline, conf: Mapping[str, Any] | None) -> int:
    """How many records the `conf` of a DAG run asks for; as many as declared where it does not say.

    Raises:
        ConfigError: it has another key than `records`, or a number that no run can ask for.
    """
    conf = conf or {}
    unknown = sorted(map(str, conf.keys() - {"records"}))
    if unknown:
        raise ConfigError(
            f"the run's conf has {', '.join(unknown)[:200]}, which the DAG {pipeline.schedule.dag_id} does not know; "
            'it takes one key, e.g. {"records": 500}'
        )
    return pipeline.source.asked(conf.get("records", pipeline.schedule.records))


def run_ingest(
    settings: Settings,
    pipeline: Pipeline,
    run_id: str,
    moment: datetime,
    records: int,
    on_progress: Callable[[int], None] = lambda _: None,
) -> IngestReport:
    """Fetches the `records` of the run that starts at the aware `moment` and publishes them, topics made if absent.

    Raises:
        ConfigError: the API cannot be asked for so many; nothing was published, and no topic made.
        SourceError: the API gave no usable answer, or nothing.
        BrokerError: Kafka was not there, or did not acknowledge everything.
        StoreError: everything is in Kafka, but Cassandra did not take the report of it.
    """
    run, records, seed = Run(pipeline, run_id, uuid4().hex), pipeline.source.asked(records), seed_for(moment)
    over_http = http.transport(settings.own_hosts())
    with Broker(settings.kafka) as broker, Api(pipeline.source, settings.source, transport=over_http) as api:
        broker.ensure_topics(pipeline)
        report = ingest(run, ahead(api.pages(seed, records)), broker, on_progress)
    Retrying(
        retry=retry_if_exception_type(StoreError),
        stop=stop_after_delay(REPORT_LIMIT_S),
        wait=wait_exponential(multiplier=0.5, max=10),
        reraise=True,
    )(_keep, settings, run, report)
    return report


def _keep(settings: Settings, run: Run, report: IngestReport) -> None:
    with Store(settings.cassandra) as store:
        counts = Counts(store, run.pipeline)
        counts.ensure()
        said = Report(report.fetched, report.acknowledged, report.rejected, datetime.now(UTC), report.last)
        with durable(store, run.pipeline):
            counts.report(Flow(run.id, run.attempt), said)


def ingest(
    run: Run, pages: Iterable[Page], broker: Publisher, on_progress: Callable[[int], None] = lambda _: None
) -> IngestReport:
    """Publishes every item of `pages`: as a record, or as a dead letter that says why it is none.

    Memory does not grow with their number. `on_progress` gets the number of items acknowledged so far.
    """
    started_s = time.monotonic()
    fetched = _Fetched()
    receipts = broker.publish(fetched.messages(run, pages), on_progress)
    topic, letters = run.pipeline.topic, run.pipeline.dead_letter_topic
    if not fetched.items:
        raise SourceAnswerError(shown(run.pipeline.source.url), "it had no items, and a run of nothing is no success")
    report = IngestReport(
        run=run.id,
        fetched=fetched.items,
        acknowledged=receipts.by_topic.get(topic, 0),
        rejected=receipts.by_topic.get(letters, 0),
        bytes=receipts.bytes,
        seconds=round(time.monotonic() - started_s, 3),
        last={partition: offset for (name, partition), offset in receipts.last.items() if name == topic},
    )
    if report.fetched != report.acknowledged + report.rejected:
        raise DeliveryError(topic, report.fetched, report.acknowledged + report.rejected, "receipts are missing")
    log.info("%s", report.sentence())
    return report


class _Fetched:
    """Counts what goes by."""

    def __init__(self) -> None:
        self.items = 0

    def messages(self, run: Run, pages: Iterable[Page]) -> Iterator[Message]:
        for page in pages:
            for index, item in enumerate(page.items):
                self.items += 1
                yield _message(run, page, index, item)


def _message(run: Run, page: Page, index: int, item: Any) -> Message:
    pipeline = run.pipeline
    headers: dict[str, str] = {**run.headers, Header.ITEM: f"{page.number}/{index}"}
    record = from_api(pipeline, item)
    if not isinstance(record, Rejected):
        return Message(pipeline.topic, message_key(pipeline, record), to_bytes(record), headers, page.received_at)
    why: dict[str, str] = {
        Header.REASON: record.reason.value,
        Header.MESSAGE: record.message[:_LONGEST_MESSAGE],
        Header.ORIGIN_URL: page.url,
        Header.ORIGIN_INDEX: str(index),
        Header.FIRST_SEEN: page.received_at.isoformat(),
    }
    key = f"{run.id}/{page.url}#{index}".encode()
    return Message(pipeline.dead_letter_topic, key, record.original, {**headers, **why}, page.received_at)
