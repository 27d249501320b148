"""The runbook has an entry for each message that can wake somebody; the messages are read from the code."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from penstock.audit.overview import State
from penstock.launcher.state import Phase
from penstock.stream import failures
from penstock.stream.report import State as Standing

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "penstock"
PAGE = (ROOT / "docs" / "runbook.md").read_text("utf-8")
TEXT = " ".join(PAGE.replace("`", "").split()).lower()
# What runs for long, or what Airflow runs: a command says its errors to the person who called it.
RUNNING = ("stream", "kafka", "source", "ingest.py", "cassandra/table.py", "cassandra/commitlog.py")
SERVERS = ("servers/cassandra.py", "servers/kafka.py", "servers/postgres.py", "servers/zookeeper.py")
RAISED = {"StreamError", "StalledError", "StoreError", "BrokerError", "DeliveryError", "TopicError", "ServiceError"}
LOGGED = {"critical", "error", "exception", "warning"}


def modules(*names: str) -> Iterator[ast.Module]:
    for name in names:
        path = SOURCE / name
        for file in [path] if path.suffix else sorted(path.rglob("*.py")):
            yield ast.parse(file.read_text("utf-8"))


def calls(tree: ast.Module, names: set[str]) -> Iterator[ast.Call]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and getattr(node.func, "id", getattr(node.func, "attr", "")) in names:
            yield node


def pieces(node: ast.AST) -> list[str]:
    """The fixed parts of a text; what is filled in stands between them."""
    if isinstance(node, ast.JoinedStr):
        return [each.value for each in node.values if isinstance(each, ast.Constant) and isinstance(each.value, str)]
    return (
        re.split(r"%[sdr]|%\.\df", node.value) if isinstance(node, ast.Constant) and isinstance(node.value, str) else []
    )


def telling(node: ast.AST) -> str:
    """The longest fixed part of the first sentence, by which a person would look for it."""
    found = [piece.split(". ")[0].strip(" .:;,(\n") for piece in pieces(node)]
    return " ".join(max(found, key=len, default="").split())


def raised(*names: str) -> set[str]:
    return {telling(call.args[0]) for tree in modules(*names) for call in calls(tree, RAISED) if len(call.args) == 1}


def logged(*names: str) -> set[str]:
    first = (call.args[0] for tree in modules(*names) for call in calls(tree, LOGGED) if call.args)
    return {telling(text) for text in first}


def said(*names: str) -> set[str]:
    """What is put together of fixed parts and others, wherever it stands."""
    return {telling(node) for each in modules(*names) for node in ast.walk(each) if isinstance(node, ast.JoinedStr)}


def covered(messages: set[str]) -> list[str]:
    """Those that are not in the page. What has no words of its own is made of other messages."""
    return sorted(each for each in messages if len(each) > 3 and each.replace("`", "").lower() not in TEXT)


def test_every_error_of_the_stream_kafka_and_cassandra_has_an_entry() -> None:
    found = raised(*RUNNING, *SERVERS)
    assert len(found) > 25
    assert covered(found) == []


def test_every_error_that_writes_its_own_sentence_has_an_entry() -> None:
    told = {one for one in said("errors.py") if not one.startswith(("which is not installed", "0"))}
    assert covered(told) == []


def test_what_supervisor_and_watchdog_log_has_an_entry() -> None:
    assert covered(logged("launcher/supervisor.py", "launcher/runner.py", "launcher/silence.py")) == []


def test_what_the_stream_logs_has_an_entry() -> None:
    assert covered(logged("stream")) == []


def test_remedies_of_the_stream_have_an_entry() -> None:
    assert (
        covered({telling(ast.Constant(text)) for text in (failures.MESSAGES_EXPIRED, failures.CHECKPOINT_IN_USE)}) == []
    )


def test_every_verdict_on_a_run_has_an_entry() -> None:
    verdicts = {
        one for one in said("audit/ledger/reconcile.py") if len(one) > 10 and "not reported by ingest" not in one
    }
    assert covered(verdicts) == []


@pytest.mark.parametrize("state", [State.BROKEN, State.WARNING])
def test_every_sentence_about_a_pipeline_that_is_not_well_has_an_entry(state: State) -> None:
    """Of each rule that ends in this state: the longest of its words."""
    rules = [
        node
        for tree in modules("audit/overview/sentence.py")
        for node in tree.body
        if isinstance(node, ast.FunctionDef)
    ]
    ill = [rule for rule in rules if f"State.{state.name}" in ast.unparse(rule)]
    assert ill
    for rule in ill:
        words = [telling(node) for node in ast.walk(rule) if isinstance(node, ast.JoinedStr)]
        assert rule.name == "_servers_of_data" or max(words, key=len, default="nothing").lower() in TEXT, rule.name


def test_every_alert_has_an_entry() -> None:
    rules = (ROOT / "deploy" / "prometheus-rules.yaml").read_text("utf-8")
    alerts = re.findall(r"- alert: (\w+)", rules)
    assert len(alerts) > 5
    assert [alert for alert in alerts if f"| `{alert}` |" not in PAGE] == []


def test_every_subject_in_which_the_doctor_finds_something_has_an_entry() -> None:
    named = {call.args[0] for tree in modules("doctor") for call in calls(tree, {"failed"})}
    subjects = {node.value for node in named if isinstance(node, ast.Constant)}
    assert len(subjects) > 10
    assert [subject for subject in sorted(subjects) if f"`{subject}`" not in PAGE] == []


@pytest.mark.parametrize("state", [*Phase, *Standing], ids=str)
def test_every_state_of_a_service_or_a_query_is_explained(state: Phase | Standing) -> None:
    assert f"`{state}`" in PAGE


def test_each_entry_says_what_to_do() -> None:
    """Below each heading with messages."""
    entries = re.split(r"^### ", PAGE, flags=re.MULTILINE)[1:]
    assert [entry.partition("\n")[0] for entry in entries if "**Do**" not in entry and "**Look at**" not in entry] == []
