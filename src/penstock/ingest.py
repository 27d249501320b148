"""The first half of the way: the API's records of a run become messages in Kafka, every one acknowledged.

The DAG's task calls `run_ingest`. The same run and interval ask the same questions and publish under the same
keys, so a retry stores nothing twice; after a failure half of the records may be in the topic, and the retry sends all.
An attempt that went through is reported to the counts, by which `ledger.reconcile` knows what should arrive.
"""

import logging
import time
from collections import Counter
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
from penstock.errors import ConfigError, DeliveryError, RejectedError, SourceAnswerError, StoreError
from penstock.kafka import Broker, Message, Publisher
from penstock.kafka.messages import EPOCH, MILLISECOND
from penstock.network import http
from penstock.pipelines.contract import Pipeline, Record
from penstock.pipelines.identity import key_of, message_key
from penstock.pipelines.record import Header, Rejected, from_api, to_bytes
from penstock.source import Interval, Offset, Page
from penstock.source.ahead import ahead
from penstock.source.api import Answer, Api, address
from penstock.source.distinct import Distinct
from penstock.source.secrets import Secrets
from penstock.urls import shown

log = logging.getLogger(__name__)

# A header is for people; a name of ten megabytes in the API's answer must not become one.
_LONGEST_MESSAGE = 1_000
_LONGEST_EXAMPLE = 300
REPORT_TIMEOUT_S = 120
"""How long ingest waits for a Cassandra that takes its report; then the attempt fails, and the next sends all again."""


@dataclass(frozen=True)
class Run:
    """One attempt of one run of a pipeline.

    `id` is Airflow's, or the name that somebody gave by hand. `attempt` is another one for each, so that the counts can
    tell the messages of an attempt that went through from those of one that did not.
    """

    pipeline: Pipeline
    id: str
    attempt: str = ""

    @cached_property
    def headers(self) -> Mapping[str, str]:
        """The headers of every message of the run."""
        pipeline = self.pipeline
        attempt: dict[str, str] = {Header.ATTEMPT: self.attempt} if self.attempt else {}
        return {Header.PIPELINE: pipeline.name, Header.VERSION: str(pipeline.version), Header.RUN: self.id, **attempt}


class IngestReport(BaseModel):
    """The report of one run. `fetched` is `acknowledged` + `rejected`, else there would be an error instead."""

    model_config = ConfigDict(frozen=True)

    run: str
    fetched: int
    """Items of the API's answers."""
    acknowledged: int
    """Records on the topic."""
    rejected: int
    """Items that are no record, as dead letters."""
    distinct: int
    """Different ones among the items: records of one key count once, and so do rejected items of the same bytes."""
    skipped: int = 0
    """Items that the API states and that did not come, because others came on two pages."""
    commonest: str = ""
    """Why most of the rejected items are no records, with an example."""
    bytes: int
    """Kafka values, before compression."""
    seconds: float
    last: dict[int, int] = Field(default_factory=dict)
    """Partition of the topic -> offset of the run's last message there."""

    def sentence(self) -> str:
        parts = f"acknowledged {self.acknowledged} + rejected {self.rejected}"
        items = f"fetched {self.fetched}"
        if self.distinct != self.fetched:
            items += f", distinct {self.distinct}: {self.fetched}"
        return f"run {self.run}: {items} = {parts}, {self.bytes / 1e6:.1f} MB in {self.seconds:.1f} s"


def records_asked(pipeline: Pipeline, conf: Mapping[str, Any] | None) -> int | None:
    """How many records the `conf` of a DAG run asks for; where it does not say, as many as declared, None for those of
    an API that knows itself.

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
    if "records" in conf and conf["records"] is None:
        raise ConfigError("None records cannot be asked for: records must be a whole number, e.g. 20")
    return pipeline.source.asked(*conf.values())


def run_ingest(
    settings: Settings,
    pipeline: Pipeline,
    run_id: str,
    interval: Interval,
    records: int | None = None,
    on_progress: Callable[[int], None] = lambda _: None,
    *,
    connection: Callable[[str], str | None] | None = None,
) -> IngestReport:
    """Fetches what the API has for the run's interval and publishes it, topics made if absent.

    `connection` gives the password of Airflow's connection of a name, in a task of Airflow.

    Raises:
        ConfigError: the API cannot be asked so; nothing was published, and no topic made.
        SourceError: the API gave no usable answer, or fewer items than declared or stated.
        RejectedError: too many items are no records.
        BrokerError: Kafka was not there, or did not acknowledge everything.
        StoreError: everything is in Kafka, but Cassandra did not take the report of it.
    """
    run, source = Run(pipeline, run_id, uuid4().hex), pipeline.source
    records = source.asked(records)
    with Api(
        source,
        settings.source,
        address=address(pipeline.name, source, settings.source),
        secrets=Secrets.of(settings.source, connection),
        transport=http.transport(settings.own_hosts()),
    ) as api:
        api.check(interval)
        with Broker(settings.kafka) as broker:
            broker.ensure_topics(pipeline)
            report = ingest(run, ahead(api.pages(interval, records)), broker, on_progress)
    Retrying(
        retry=retry_if_exception_type(StoreError),
        stop=stop_after_delay(REPORT_TIMEOUT_S),
        wait=wait_exponential(multiplier=0.5, max=10),
        reraise=True,
    )(_keep, settings, run, report)
    judge(pipeline, report)
    return report


def judge(pipeline: Pipeline, report: IngestReport) -> None:
    """Returns where a run that published everything is a success by what its source declares.

    Raises:
        SourceAnswerError: it has fewer items than `at_least`.
        RejectedError: a larger share of them than `at_most_rejected` are no records.
    """
    source = pipeline.source
    if report.fetched < source.at_least:
        problem = f"with {report.fetched} items in all, and at_least is {source.at_least}"
        raise SourceAnswerError(shown(source.url), problem)
    if report.skipped:
        raise SourceAnswerError(
            shown(source.url),
            f"{report.skipped} of the items that it states (total of the source) did not come, and as many came on two "
            "pages, in two versions. Were rows moved meanwhile? The next attempt asks for all again. If the API gives "
            "several versions of a record, declare no total",
        )
    if report.rejected > source.at_most_rejected * report.fetched:
        allowed = source.at_most_rejected
        raise RejectedError(report.run, report.rejected, report.fetched, allowed, report.commonest)


def _keep(settings: Settings, run: Run, report: IngestReport) -> None:
    with Store(settings.cassandra) as store:
        counts = Counts(store, run.pipeline)
        counts.ensure()
        numbers = (report.fetched, report.acknowledged, report.rejected)
        said = Report(*numbers, datetime.now(UTC), report.last, report.distinct)
        with durable(store, run.pipeline):
            counts.report(Flow(run.id, run.attempt), said)


def ingest(
    run: Run, pages: Iterable[Answer], broker: Publisher, on_progress: Callable[[int], None] = lambda _: None
) -> IngestReport:
    """Publishes every item of `pages`: as a record, or as a dead letter that says why it is none.

    Memory does not grow with their number. `on_progress` gets the number of items acknowledged so far.
    """
    started_s = time.monotonic()
    with Distinct() as distinct:
        fetched = _Fetched(distinct)
        receipts = broker.publish(fetched.messages(run, pages), on_progress)
        different = distinct.count()
        skipped = fetched.skipped(run.pipeline, different)
    topic, letters = run.pipeline.topic, run.pipeline.dead_letter_topic
    report = IngestReport(
        run=run.id,
        fetched=fetched.items,
        acknowledged=receipts.by_topic.get(topic, 0),
        rejected=receipts.by_topic.get(letters, 0),
        distinct=different,
        skipped=skipped,
        commonest=fetched.commonest(),
        bytes=receipts.bytes,
        seconds=round(time.monotonic() - started_s, 3),
        last={partition: offset for (name, partition), offset in receipts.last.items() if name == topic},
    )
    if report.fetched != report.acknowledged + report.rejected:
        raise DeliveryError(topic, report.fetched, report.acknowledged + report.rejected, "receipts are missing")
    log.info("%s", report.sentence())
    return report


class _Fetched:
    """Counts a run's items on their way from the pages to the messages, the different ones and the rejected ones."""

    def __init__(self, distinct: Distinct) -> None:
        self.items = 0
        self._distinct = distinct
        self._total: int | None = None
        self._versions = 0
        """Items whose key came before on the same page."""
        self._latest = EPOCH
        self._reasons = Counter[str]()
        self._examples: dict[str, str] = {}

    def messages(self, run: Run, pages: Iterable[Answer]) -> Iterator[Message]:
        for page in pages:
            records = [from_api(run.pipeline, item) for item in page.items]
            keys = [None if isinstance(one, Rejected) else hash(key_of(run.pipeline, one)) for one in records]
            later = Counter(key for key in keys if key is not None)
            at = self._time(page, later)
            self._versions += later.total() - len(later)
            self._distinct.add(later)
            for index, (record, key) in enumerate(zip(records, keys, strict=True)):
                self.items += 1
                if key is None:
                    message = _message(run, page, index, record, at)
                    self._distinct.add([hash(message.value)])
                    self._keep_reason(message.headers)
                else:
                    later[key] -= 1
                    message = _message(run, page, index, record, at - later[key] * MILLISECOND)
                yield message
            self._total = page.total

    def _time(self, page: Answer, versions: Counter[int]) -> datetime:
        """The time of a page's records: when it was received. Of one key that comes several times the last one has it,
        and the others the milliseconds before, but later than all of the page before: the API's order is the rows'.
        """
        self._latest = max(page.received_at, self._latest + max(versions.values(), default=1) * MILLISECOND)
        return self._latest

    def skipped(self, pipeline: Pipeline, different: int) -> int:
        """How many items of a list that is read by page or offset were skipped, as others came on two pages.

        What came twice on one page are two versions of a record, and no row that moved.
        """
        if self._total is None or not isinstance(pipeline.source.paging, (Page, Offset)):
            return 0
        return max(0, self._total - different - self._versions)

    def commonest(self) -> str:
        """The reason that most of the rejected items have, and the first of these; empty where there are none."""
        for reason, count in self._reasons.most_common(1):
            return f"{reason} ({count} times), e.g. {self._examples[reason]}"
        return ""

    def _keep_reason(self, headers: Mapping[str, str]) -> None:
        reason = headers[Header.REASON]
        self._reasons[reason] += 1
        if reason not in self._examples:
            self._examples[reason] = f"item {headers[Header.ITEM]}: {headers[Header.MESSAGE][:_LONGEST_EXAMPLE]}"


def _message(run: Run, page: Answer, index: int, record: Record | Rejected, at: datetime) -> Message:
    pipeline = run.pipeline
    headers: dict[str, str] = {**run.headers, Header.ITEM: f"{page.number}/{index}"}
    if not isinstance(record, Rejected):
        return Message(pipeline.topic, message_key(pipeline, record), to_bytes(record), headers, at)
    why: dict[str, str] = {
        Header.REASON: record.reason.value,
        Header.MESSAGE: record.message[:_LONGEST_MESSAGE],
        Header.ORIGIN_URL: page.url,
        Header.ORIGIN_INDEX: str(index),
        Header.FIRST_SEEN: page.received_at.isoformat(),
    }
    key = f"{run.id}/{page.url}#{page.number}/{index}".encode()
    return Message(pipeline.dead_letter_topic, key, record.original, {**headers, **why}, at)
