"""A cluster under load of which some servers are lost: which ones, and whether every record still arrives."""

from penstock.audit import ledger
from penstock.cassandra import Counts, Store
from penstock.config import Settings
from penstock.ingest import Run
from penstock.kafka import Broker
from penstock.pipelines.contract import Pipeline
from tests.faults.check import Topic, check
from tests.faults.fresh import ends, passed
from tests.faults.load import Load
from tests.waiting import until

LAST = ("kafka-3", "cassandra-3", "spark-worker-2")
"""One of each, which no client asks first."""


def until_stored(settings: Settings, pipeline: Pipeline, load: Load, mark: int) -> None:
    """A record that was published as message `mark` or later stands in the table."""
    with Store(settings.cassandra) as store:

        def stored() -> bool:
            load.goes_on()
            keys = load.keys_since(mark)[:5]
            return bool(keys) and any(True for _ in store.rows(pipeline, keys))

        until(stored, f"nothing after message {mark} arrives")


def unaccounted(settings: Settings, run: Run, load: Load) -> dict[str, list[str]]:
    """What is wrong once everything has settled: nothing, if the promise held."""
    topic = run.pipeline.topic
    account = ledger.wait_until_settled(settings, run.pipeline, run.id, 600)
    with Broker(settings.kafka) as broker, Store(settings.cassandra) as store:
        # Rows are there at once, their counts when their epoch is over.
        counts, to = Counts(store, run.pipeline), ends(broker, topic)
        until(lambda: passed(broker, counts, topic, to), f"the stream does not count {topic}")
    return check(settings, Topic(run.pipeline), account, load.expected).wrong
