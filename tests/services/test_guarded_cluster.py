"""A cluster that is not ours: TLS both ways and passwords at Kafka and Cassandra, through all our clients."""

from pathlib import Path

import pytest

from penstock.cassandra import Store
from penstock.config import Settings
from penstock.errors import BrokerError, StoreError
from penstock.kafka import Broker
from penstock.pipelines.contract import Pipeline
from penstock.pipelines.record import to_bytes
from penstock.servers.spark import spark_master, spark_worker
from penstock.stream.connectors.cassandra import spark_conf
from penstock.stream.jvm import SECRET
from rig.stacks import processes_of
from tests import revealed
from tests.secured import CORE, changed, let_in_by_scram
from tests.services.servers import running
from tests.streaming import OWN, log_of, publish, streaming, user
from tests.waiting import until

KEY_STORE_PASSWORD = "spark.cassandra.connection.ssl.keyStore.password"


@pytest.mark.thorough  # the next one has everything but the credentials by PLAIN, which doctor tries
def test_records_go_through_a_guarded_cluster(guarded: Settings, own: Pipeline, tmp_path: Path) -> None:
    carries(changed(guarded, spark={"master": "local[4]"}), own, tmp_path)


@pytest.mark.thorough  # the same with local Spark runs each time
def test_an_executor_elsewhere_is_let_in_and_so_is_scram(guarded: Settings, own: Pipeline, tmp_path: Path) -> None:
    """An executor that is a process of its own gets certificates and passwords from the driver alone."""
    with running(spark_master, guarded), running(spark_worker, guarded):
        carries(let_in_by_scram(guarded), own, tmp_path)


def carries(settings: Settings, own: Pipeline, folder: Path) -> None:
    """A good record becomes a row and a bad one a letter, and no secret can be read anywhere."""
    (folder / "own_pipeline.py").write_text(OWN.format(own.topic))
    conf = {**settings.spark.conf, "spark.hadoop.fs.azure.sas.container": CORE, "spark.my.pin": CORE}
    spark = {"checkpoint": str(folder / "checkpoint"), "conf": {**conf, "spark.redaction.regex": f"{SECRET}|[.]pin"}}
    settings = changed(settings, spark=spark).model_copy(update={"pipelines": ("own_pipeline:OWN",)})
    with Broker(settings.kafka) as broker:
        publish(broker, own, [to_bytes(user(1)), b"{"])
        with streaming(settings), Store(settings.cassandra) as store:
            until(lambda: "stored 1 rows, 1 rejected" in log_of(settings))
            assert store.count(own) == 1
            reveals_nothing(settings)
        [letter] = broker.read(own.dead_letter_topic)
        assert letter.value == b"{"
        assert CORE not in repr(letter)


def reveals_nothing(settings: Settings) -> None:
    """While the stream runs: neither passwords nor keys, nor the password of the key's store."""
    secrets = (CORE, "PRIVATE KEY", spark_conf(settings.cassandra, settings.home / "run" / "tls")[KEY_STORE_PASSWORD])
    assert any("SparkSubmit" in " ".join(process.cmdline()) for process in processes_of(settings.home))
    assert revealed.by_processes(settings.home, secrets) == []
    assert revealed.by_pages(settings.ports.spark_driver_ui, secrets) == []
    kept = (settings.home / "logs", settings.home / "data" / "spark", Path(settings.spark.checkpoint).parent)
    assert revealed.by_files(kept, secrets) == []


WRONG = {
    "password": ({"sasl_password": "wrong"}, {"password": "wrong"}),
    "authority": ({"ssl_ca_location": "client.crt"}, {"ssl_ca_location": "client.crt"}),
    "no certificate": ({"ssl_certificate_location": "", "ssl_key_location": ""},) * 2,
    "no encryption": (
        {"security_protocol": "SASL_PLAINTEXT"},
        {"ssl": False, "ssl_ca_location": "", "ssl_certificate_location": ""},
    ),
}


@pytest.mark.parametrize("kind", WRONG)
def test_rejected_credentials_raise_the_error_of_each_client(guarded: Settings, own: Pipeline, kind: str) -> None:
    kafka, cassandra = (
        {name: str(guarded.home.parent / value) if value == "client.crt" else value for name, value in section.items()}
        for section in WRONG[kind]
    )
    settings = changed(guarded, kafka={**kafka, "delivery_timeout_s": 3}, cassandra=cassandra)
    with pytest.raises(BrokerError, match="asking for topics"), Broker(settings.kafka) as broker:
        broker.offsets(own.topic)
    with pytest.raises(StoreError, match="connecting failed"), Store(settings.cassandra):
        pass
