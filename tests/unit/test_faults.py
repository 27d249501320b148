"""The pure parts of the tester of faults: which trials are played, what is told of them, which packets are meant."""

import json
from collections import Counter, namedtuple
from pathlib import Path

import psutil
import pytest

from tests.faults import network, plan, results
from tests.faults.check import Findings
from tests.faults.isolation import part_in
from tests.faults.network import DROPPED, Endpoint, Link
from tests.faults.results import Outcome, Result
from tests.faults.several import FAULTS, drawn

Address = namedtuple("Address", "ip port")
Connection = namedtuple("Connection", "laddr raddr status pid")
KINDS = FAULTS[:5]


def result(number: int, seconds: float, fault: str = "broker", words: str = "") -> Result:
    outcome = Outcome(fault, 7 + number, records=100, seconds=seconds, took_s=2 * seconds, failure=words)
    return Result.of(outcome, "2026-11-28", "single", 7, number)


def account(*numbers: int) -> Result:
    return Result.of(Outcome("deep account", 7), "2026-11-28", "single", 7, -1, numbers)


def test_a_series_is_the_same_for_the_same_seed_and_longer_ones_begin_with_it() -> None:
    assert list(plan.series(KINDS, 7, 12)) == list(plan.series(KINDS, 7, 40))[:12]
    assert [one.fault for one in plan.series(KINDS, 8, 12)] != [one.fault for one in plan.series(KINDS, 7, 12)]


def test_a_series_plays_each_fault_equally_often_with_seeds_that_count_on() -> None:
    trials = list(plan.series(KINDS, 7, 20))
    assert set(Counter(one.fault.name for one in trials).values()) == {4}
    assert [one.seed for one in trials] == list(range(7, 27))


def test_a_run_that_was_stopped_is_gone_on_with(tmp_path: Path) -> None:
    file = tmp_path / "trials.jsonl"
    for number in (0, 1, 3):
        results.keep(file, result(number, 5))
    results.keep(file, account(0, 1, 3))
    done = {one.number for one in results.kept(file)}
    assert [one.number for one in plan.left(plan.series(KINDS, 7, 6), done)] == [2, 4, 5]


def test_a_trial_counts_once_the_deep_account_of_its_stack_is_done_and_a_failure_at_once(tmp_path: Path) -> None:
    file = tmp_path / "trials.jsonl"
    for one in (result(0, 5), account(0), result(1, 5), result(2, 0, words="rows: no row 7")):
        results.keep(file, one)
    assert [one.number for one in results.kept(file)] == [0, 2]


def test_a_line_that_the_stop_of_the_machine_cut_is_no_result(tmp_path: Path) -> None:
    file = tmp_path / "trials.jsonl"
    results.keep(file, account(0, 1))
    results.keep(file, result(0, 5))
    with file.open("a") as opened:
        opened.write('{"on": "2026')
    assert [one.number for one in results.kept(file)] == [0]
    results.keep(file, result(1, 5))
    assert [one.number for one in results.kept(file)] == [0, 1]
    assert all(json.loads(line) for line in file.read_text().splitlines())


def test_rounds_play_each_fault_in_turn() -> None:
    trials = list(plan.rounds(KINDS, 7, 2))
    assert [one.fault for one in trials] == [*KINDS, *KINDS]
    assert [one.seed for one in trials] == [7] * 5 + [8] * 5


def test_faults_are_drawn_of_different_kinds_and_none_takes_minutes() -> None:
    for seed in range(50):
        chosen = drawn(seed, FAULTS)
        assert len({one.kind for one in chosen}) == 4
        assert not any(one.long for one in chosen)


@pytest.mark.parametrize(
    ("values", "spread"),
    [
        ([4], (4, 4, 4, 4)),
        ([3, 1, 2], (1, 2, 3, 3)),
        (range(1, 11), (1, 5, 9, 10)),
        (range(1, 101), (1, 50, 90, 100)),
    ],
)
def test_spread(values: list[float], spread: tuple[float, ...]) -> None:
    assert results.spread(values) == spread


def test_the_table_has_a_line_for_each_fault_and_names_what_failed() -> None:
    found = [result(0, 10), result(1, 20), result(2, 0, "clock", words="TimeoutError: not corrected")]
    lines = results.table(found).splitlines()
    assert lines[2] == "| broker | 2 | 200 | 0 | 0 | 10 | 10 | 20 | 20 | passed |"
    assert lines[3] == "| clock | 1 | 100 | 0 | 0 |  |  |  |  | 1 FAILED |"
    assert lines[4].startswith("| **all** | 3 | 300 |")
    assert "clock, seed 9 (single): TimeoutError: not corrected" in results.section(found)


def test_seeds_and_the_share_of_time_under_fault_are_told() -> None:
    found = [result(number, 5) for number in (0, 1, 2, 5)]
    assert results.seeds(found) == "`--seed 7`: 7–9, 12"
    assert "under fault 50 % of that time" in results.summary(found)
    assert "single (4)" in results.summary(found)


def test_what_was_lost_or_invented_stands_in_the_result() -> None:
    findings = Findings(lost=2, duplicated=1)
    findings.add("rows", "no row 7")
    kept = Result.of(Outcome("broker", 7, findings=findings), "2026-11-28", "secure", 7, 0)
    assert (kept.lost, kept.duplicated, kept.words) == (2, 1, "rows: no row 7")


def test_the_page_shows_what_stands_in_the_file(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"before\n{results.BEGIN}\nold\n{results.END}\nafter\n")
    results.write([result(0, 5)], page)
    assert results.shown(page) == results.section([result(0, 5)])
    assert page.read_text().startswith("before\n")
    assert page.read_text().endswith("\nafter\n")


def test_the_page_on_reliability_is_written_from_the_results_that_are_kept() -> None:
    kept = results.kept(results.PAGE.with_name("trials.jsonl"))
    assert results.shown() == results.section(kept)


def test_parts_are_known_by_their_control_groups() -> None:
    lines = ["4:memory:/", "0::/penstock-faults-12/spark-worker-2"]
    assert part_in(lines, "penstock-faults-12") == "spark-worker-2"
    assert part_in(lines, "penstock-faults-1") is None


def test_links_are_who_called_whom() -> None:
    parts = {1: "kafka", 2: "stream", 3: "postgres"}
    kafka, anywhere = Address("127.0.0.1", 9092), Address("0.0.0.0", 5432)
    connections = [
        Connection(kafka, (), psutil.CONN_LISTEN, 1),
        Connection(anywhere, (), psutil.CONN_LISTEN, 3),
        Connection(Address("127.0.0.1", 40_000), Address("::ffff:127.0.0.1", 9092), psutil.CONN_ESTABLISHED, 2),
        Connection(kafka, Address("127.0.0.1", 40_000), psutil.CONN_ESTABLISHED, 1),
        Connection(Address("127.0.0.1", 40_001), Address("127.0.0.1", 5432), psutil.CONN_ESTABLISHED, 2),
        Connection(Address("127.0.0.1", 40_002), kafka, psutil.CONN_ESTABLISHED, 99),
    ]
    lines = network.lines_of(connections, parts.get)
    assert lines.links == [Link("stream", "kafka"), Link("stream", "postgres")]
    assert lines.listening == {"kafka": {Endpoint(9092, "127.0.0.1")}, "postgres": {Endpoint(5432)}}


def test_each_rule_can_be_undone() -> None:
    marking, dropping = network.rules("group/stream", [Endpoint(9092, "127.0.0.2")], 4, DROPPED)
    assert " ".join(marking) == (
        "-t mangle -A OUTPUT -p tcp -m cgroup --path group/stream -d 127.0.0.2 --dport 9092 -j CONNMARK --set-mark 4"
    )
    assert " ".join(dropping) == "-t filter -A OUTPUT -p tcp -m connmark --mark 4 -j DROP"
    assert " ".join(network.undone(dropping)) == "-t filter -D OUTPUT -p tcp -m connmark --mark 4 -j DROP"
