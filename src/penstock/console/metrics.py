"""The latest moment as metrics, in Prometheus' text format."""

from collections.abc import Callable, Iterator

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from penstock.audit.overview import Overview, PipelinePart, State
from penstock.console.sampler import Moment
from penstock.launcher.control import Phase

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_RUNS = "of the newest 50 runs, by the counts"


def exposed(moment: Moment) -> bytes:
    """The text that a scrape gets."""
    registry = CollectorRegistry()
    registry.register(_Seen(moment))
    return generate_latest(registry)


class _Seen(Collector):
    def __init__(self, moment: Moment) -> None:
        self._seen, self._latencies = moment.overview, moment.latencies

    def collect(self) -> Iterator[Metric]:
        looked = GaugeMetricFamily("penstock_last_look_timestamp_seconds", "When the servers were looked at last.")
        looked.add_metric([], self._seen.at.timestamp())
        yield looked
        refused = GaugeMetricFamily("penstock_refused_declarations", "Declarations that are broken or collide.")
        refused.add_metric([], len(self._seen.refused))
        yield refused
        yield from self._of_pipelines()
        yield from self._of_partitions()
        yield from self._of_services()
        yield from self._latency()

    def _of_pipelines(self) -> Iterator[Metric]:
        for name, text, value in _GAUGES:
            yield self._gauge(name, text, value)
        items = GaugeMetricFamily("penstock_items", f"Items {_RUNS}.", labels=["pipeline", "account"])
        letters = GaugeMetricFamily(
            "penstock_open_letters",
            "Open dead letters by reason, among the newest 1,000 messages of their topic.",
            labels=["pipeline", "reason"],
        )
        state = GaugeMetricFamily(
            "penstock_pipeline_state", "1 for the state that the pipeline is in.", labels=["pipeline", "state"]
        )
        up = GaugeMetricFamily(
            "penstock_server_up",
            "Whether the server answers to this pipeline's questions.",
            labels=["pipeline", "server"],
        )
        for part in self._seen.pipelines:
            for account in ("fetched", "acknowledged", "stored", "dead_lettered", "in_flight", "lost"):
                items.add_metric([part.name, account], sum(getattr(run, account) or 0 for run in part.runs))
            for reason, count in part.letters.by_reason.items():
                letters.add_metric([part.name, reason], count)
            for each in State:
                state.add_metric([part.name, each.value], part.state is each)
            for server in ("airflow", "kafka", "stream", "cassandra"):
                up.add_metric([part.name, server], getattr(part, server).answers)
        yield from (items, letters, state, up)

    def _gauge(self, name: str, text: str, value: Callable[[PipelinePart, Overview], float | None]) -> Metric:
        gauge = GaugeMetricFamily(name, text, labels=["pipeline"])
        for part in self._seen.pipelines:
            found = value(part, self._seen)
            if found is not None:
                gauge.add_metric([part.name], found)
        return gauge

    def _of_partitions(self) -> Iterator[Metric]:
        labels = ["pipeline", "topic", "partition"]
        published = CounterMetricFamily(
            "penstock_published_messages", "Offsets up to the newest message.", labels=labels
        )
        passed = CounterMetricFamily("penstock_passed_messages", "Offsets that the stream passed.", labels=labels)
        lag = GaugeMetricFamily("penstock_lag_messages", "Offsets that wait for the stream.", labels=labels)
        oldest = GaugeMetricFamily(
            "penstock_oldest_waiting_seconds", "Age of the first record that waits; 0 if none does.", labels=labels
        )
        now_s = self._seen.at.timestamp()
        for part in self._seen.pipelines:
            for each in part.kafka.partitions:
                names = [part.name, part.kafka.topic, str(each.number)]
                published.add_metric(names, each.end)
                if each.waiting is not None:
                    passed.add_metric(names, each.end - each.waiting)
                    lag.add_metric(names, each.waiting)
                    oldest.add_metric(names, max(0.0, now_s - each.oldest_at.timestamp()) if each.oldest_at else 0.0)
        yield from (published, passed, lag, oldest)

    def _latency(self) -> Iterator[Metric]:
        """Two gauges: the label `quantile` is for summaries, which are of all time."""
        what = "of records followed in the last 15 minutes, from the API's answer to the row."
        half = GaugeMetricFamily("penstock_latency_p50_seconds", f"Median {what}", labels=["pipeline"])
        most = GaugeMetricFamily("penstock_latency_p99_seconds", f"99th percentile {what}", labels=["pipeline"])
        for name, latency in self._latencies.items():
            half.add_metric([name], latency.p50_s)
            most.add_metric([name], latency.p99_s)
        yield from (half, most)

    def _of_services(self) -> Iterator[Metric]:
        up = GaugeMetricFamily("penstock_service_up", "Whether the local service is ready.", labels=["service"])
        restarts = CounterMetricFamily("penstock_service_restarts", "Restarts since `penstock up`.", labels=["service"])
        for service in self._seen.services:
            up.add_metric([service.name], service.state is Phase.READY)
            restarts.add_metric([service.name], service.restarts)
        yield from (up, restarts)


def _batch_at(part: PipelinePart, _: Overview) -> float | None:
    return part.stream.batch_at.timestamp() if part.stream.batch_at else None


_GAUGES: tuple[tuple[str, str, Callable[[PipelinePart, Overview], float | None]], ...] = (
    (
        "penstock_batch_seconds",
        "How long Spark's last batch took; in real-time mode as long as spark.epoch_s says.",
        lambda part, _: part.stream.batch_s,
    ),
    (
        "penstock_batch_rows_per_second",
        "Rows a second in that batch, as Spark says.",
        lambda part, _: part.stream.rows_per_s,
    ),
    ("penstock_batch_timestamp_seconds", "When a batch was counted last.", _batch_at),
    (
        "penstock_unbalanced_runs",
        f"Runs that cannot balance, {_RUNS}.",
        lambda part, _: sum(bool(run.problem) for run in part.runs),
    ),
    (
        "penstock_deleted_unread_messages",
        "Offsets that Kafka deleted before the stream passed them.",
        lambda part, _: part.kafka.deleted_unread,
    ),
)
