"""Commands that need Kafka, where no stack was ever started: an answer at once, with what to do."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from penstock.cli import cli
from penstock.errors import BrokerError
from rig.stacks import free_ports


@pytest.mark.parametrize("command", ["ingest", "trace ada", "dead-letters list", "dead-letters show 3fa1c09b"])
def test_command_does_not_wait_for_a_stack_that_was_not_started(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, command: str
) -> None:
    for server, port in zip(("KAFKA", "CASSANDRA"), free_ports(2), strict=True):
        monkeypatch.setenv(f"PENSTOCK_PORTS_{server}", str(port))
    done = CliRunner().invoke(cli, [*command.split(), "--home", str(tmp_path)])
    assert isinstance(done.exception, BrokerError)
    assert f"no stack runs in {tmp_path}. `penstock up` starts one" in str(done.exception)
