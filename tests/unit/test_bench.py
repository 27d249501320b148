"""The benchmark's own arithmetic: turns, percentiles, whether every row is there and right, what is reported."""

import json
import shutil
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest

from bench import charts, report, sizes
from bench.dataset import halved, is_malformed, make
from bench.digest import digest, token_ranges
from bench.latency import carried, curve
from bench.numbers import Spread, interleaved, percentile, ratio, turns
from bench.parts import RUN
from bench.pipelines import USERS_CREATED
from bench.watch import Seen

ROWS = [["1", "a", None], ["2", "b", "x"], ["3", "c", ""]]


def test_rounds_go_forth_and_back() -> None:
    assert interleaved(["a", "b", "c"], 3) == [["a", "b", "c"], ["c", "b", "a"], ["a", "b", "c"]]


def test_who_warms_up_comes_first_and_does_not_count() -> None:
    assert list(turns(["a", "b"], 1, ["b"])) == [
        ("warm-up", "b", False),
        ("round-1", "a", True),
        ("round-1", "b", True),
    ]


@pytest.mark.parametrize(("percent", "value"), [(50, 5), (90, 9), (99, 10), (100, 10)])
def test_a_percentile_is_one_of_the_values(percent: float, value: float) -> None:
    assert percentile(range(10, 0, -1), percent) == value


def test_a_ratio_is_taken_round_by_round() -> None:
    assert ratio([10, 20, 40], [10, 10, 10]) == Spread(1, 2, 4)


def test_the_order_of_rows_does_not_matter() -> None:
    assert digest(reversed(ROWS)) == digest(ROWS)


@pytest.mark.parametrize(
    ("found", "wrong"),
    [
        (ROWS, ""),
        (ROWS[:2], "1 of 3 rows are not there"),
        ([*ROWS[:2], ROWS[1]], "some rows have other values"),
        ([*ROWS[:2], ["3", "c", None]], "some rows have other values"),
        ([*ROWS[:2], ["4", "c", ""]], "some rows have other values"),
        ([["1", None, "a"], *ROWS[1:]], "some rows have other values"),
    ],
)
def test_a_row_that_is_not_right_is_seen(found: list[list[str | None]], wrong: str) -> None:
    assert digest(ROWS).difference(digest(found)) == wrong


def test_keys_of_its_own_are_no_defect_where_they_are_allowed() -> None:
    other_keys = [["7", *row[1:]] for row in ROWS]
    assert digest(ROWS).difference(digest(other_keys), keys=False) == ""


@pytest.mark.parametrize("parts", [1, 3, 1000])
def test_the_ranges_are_the_whole_ring(parts: int) -> None:
    spans = list(token_ranges(parts))
    assert (spans[0][0], spans[-1][1], len(spans)) == (-(2**63), 2**63 - 1, parts)
    assert all(after[0] == before[1] + 1 for before, after in pairwise(spans))


def test_malformed_messages_are_evenly_spread() -> None:
    assert [number for number in range(100) if is_malformed(number, 2)] == [0, 50]
    assert sum(is_malformed(number, 10) for number in range(1000)) == 100


def test_the_same_number_of_records_is_the_same_data(tmp_path: Path) -> None:
    one, other = (make(tmp_path / name, USERS_CREATED, 50) for name in "ab")
    assert one.json_lines.read_bytes() == other.json_lines.read_bytes()
    assert one.expected().rows == 50


def test_the_file_of_columns_has_the_same_values(tmp_path: Path) -> None:
    data = make(tmp_path, USERS_CREATED, 50)
    assert data.expected_of_columns().values == data.expected().values


def test_who_goes_round_the_file_of_columns_writes_its_first_rows_again(tmp_path: Path) -> None:
    data = make(tmp_path, USERS_CREATED, 5, few=2)
    first, second = (["", *line.split("\t")] for line in data.columns.read_text("utf-8").splitlines())
    assert data.expected_of_columns() == digest([first, second, first, second, first])


def test_spoiled_records_are_not_expected(tmp_path: Path) -> None:
    assert make(tmp_path, USERS_CREATED, 50).expected(10).rows == 45


def test_half_of_the_fields_are_absent_of_the_same_records(tmp_path: Path) -> None:
    data = make(tmp_path, USERS_CREATED, 5)
    rows = [json.loads(line) for line in halved(data).json_lines.read_text("utf-8").splitlines()]
    whole = [json.loads(line) for line in data.json_lines.read_text("utf-8").splitlines()]
    assert [len(row) for row in rows] == [6] * 5
    assert all(row.items() <= full.items() for row, full in zip(rows, whole, strict=True))
    assert halved(data).expected().rows == 5


def test_rates_begin_with_the_first_rows() -> None:
    seen = Seen(1000, curve=[(10.0, 200), (12.0, 600), (13.0, 1000)])
    assert (seen.total_s, seen.drain_s, seen.rate, seen.warm_rate) == (13, 3, 800 / 3, 400)


def test_a_section_is_replaced_between_its_markers() -> None:
    text = "before\n<!-- x -->\nold\n<!-- /x -->\nafter"
    assert report.replaced(text, "x", "new") == "before\n<!-- x -->\nnew\n<!-- /x -->\nafter"


def test_every_part_has_its_place_in_the_docs() -> None:
    text = (Path(__file__).parents[2] / "docs" / "benchmarks.md").read_text("utf-8")
    by_size = {part: (f"{part}-200000", f"{part}-2000000") for part in ("drain", "account")}
    elsewhere: dict[str, tuple[str, ...]] = {"startup": (), "sizes": (), "peers": ()}  # told in words
    for name in ("growth", *(name for part in RUN for name in {**by_size, **elsewhere}.get(part, (part,)))):
        assert report.replaced(text, name, "new") != text


def test_a_round_that_lost_a_row_is_no_figure() -> None:
    outcomes = [{"wrong": "", "rate": 3}, {"wrong": "1 row is not there"}]
    assert report.good(outcomes, "rate") == [3]


def test_the_report_sets_the_rounds_against_each_other(tmp_path: Path) -> None:
    results, docs = tmp_path / "results", tmp_path / "docs"
    results.mkdir()
    docs.mkdir()
    places = ("drain-200000", "drain-2000000", "growth")
    (docs / "benchmarks.md").write_text("".join(f"<!-- {name} -->\n<!-- /{name} -->\n" for name in places), "utf-8")
    for records, rates in ((200_000, (30.0, 20.0)), (2_000_000, (24.0, 20.0))):
        outcomes = {name: [drained(records, rate)] for name, rate in zip(("ours", "bento"), rates, strict=True)}
        outcomes["tutorial"] = [{"wrong": "1 row is not there"}]
        (results / f"drain-{records}.json").write_text(json.dumps({"about": ABOUT, "absent": {}, "outcomes": outcomes}))
    (tmp_path / "README.md").write_text("<!-- ratios -->\n<!-- /ratios -->\n", "utf-8")
    report.write(results, docs, tmp_path / "README.md")
    text = (docs / "benchmarks.md").read_text("utf-8")
    assert "| ours ÷ bento | records/s | 1.20 | ≥ 1.2 |" in text
    assert "| ours ÷ tutorial |" not in text
    assert "| ours | 1.25 | 1.00 |" in text
    assert "![drain-2000000](bench-drain-2000000.svg)" in text
    assert "| Bento, tuned | 1.50 | 1.20 |" in (tmp_path / "README.md").read_text("utf-8")


def test_pages_say_what_the_results_say(tmp_path: Path) -> None:
    root = Path(__file__).parents[2]
    shutil.copytree(root / "docs", tmp_path / "docs")
    shutil.copy(root / "README.md", tmp_path)
    report.write(root / "bench" / "results", tmp_path / "docs", tmp_path / "README.md")
    for page in ("README.md", "docs/benchmarks.md"):
        assert (tmp_path / page).read_text("utf-8") == (root / page).read_text("utf-8"), "run `scripts/bench report`"


ABOUT = {
    "command": "scripts/bench drain",
    "date": "2025-03-12",
    "commit": "0",
    "rounds": 1,
    "warm_up": "everyone",
    "machine": {"cores": 2, "memory_gib": 24, "system": "6"},
    "servers": {"cassandra": "5", "kafka": "4", "spark": "4"},
}


def drained(rows: int, rate: float) -> dict[str, object]:
    """A run as `drain.outcome` keeps it."""
    return {
        "wrong": "",
        "rows": rows,
        "drain_s": rows / rate,
        **dict.fromkeys(("rate", "warm_rate", "total_rate"), rate),
        "cpu_s": {"client": 1.0, "cassandra": 2.0},
        "peak_mib": {"client": 300.0},
    }


@pytest.mark.parametrize("module", ["bench", "bench.startup", "bench.sizes"])
def test_programs_begin(module: str) -> None:
    done = subprocess.run((sys.executable, "-m", module, "--help"), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_chart_names_everyone() -> None:
    chart = charts.bars("rows", {"ours": Spread(1, 2, 3), "a & b": Spread(1, 1, 1)})
    assert ">ours<" in chart
    assert ">a &amp; b<" in chart


def test_latency_over_time_has_two_lines_a_contender() -> None:
    drawn = charts.over_time("late", {"ours": [(-1, 20, 900), (0, 25, 400)], "tutorial": [(0, 1_200, 1_500)]})
    assert (drawn.count("<polyline"), drawn.count(" ms</text>")) == (4, 4)


def test_curve_has_the_median_and_the_worst_of_each_second() -> None:
    assert curve([(-0.5, 0.9), (0.1, 0.02), (0.2, 0.04), (0.9, 0.4)]) == [(-1, 900, 900), (0, 40, 400)]


@pytest.mark.parametrize(
    ("busy_percent", "per_second"), [((40, 50), 500), ((60, 30), 500), ((80, 90), 325), ((90, 100), 300)]
)
def test_the_rate_leaves_room_whoever_runs(busy_percent: tuple[float, float], per_second: int) -> None:
    assert carried(500, [{"wrong": "", "busy_percent": each} for each in busy_percent]) == per_second


def test_a_rate_that_somebody_could_not_carry_is_halved_at_least() -> None:
    assert carried(500, [{"wrong": "12 rows cannot be read"}, {"wrong": "", "busy_percent": 50}]) == 250


# Sizes


def test_what_sizes_are_asked_of_is_what_the_scripts_say() -> None:
    root = Path(__file__).parents[2]
    assert {"uv", "hatchling"} < sizes.installers(root).keys()
    pins = sizes.pinned((root / "requirements.runtime.lock").read_text("utf-8"))
    assert pins["pyspark"].startswith("pyspark==")
    assert " ; " in pins["pyyaml-ft"]  # one that some Pythons need only
    omitted = list(sizes.left_out((root / "Dockerfile").read_text("utf-8")))
    assert {"pyspark/examples/*", "pyspark/jars/rocksdbjni-*"} < set(omitted)


def test_the_wheel_of_this_machine_counts_and_the_source_where_there_is_none() -> None:
    wheels = [
        {"url": "https://example.com/a-1-py3-none-any.whl", "size": 2},
        {"url": "https://example.com/a-1-cp27-cp27m-win32.whl", "size": 3},
    ]
    assert sizes.chosen({"wheels": wheels, "sdist": {"size": 4}}) == 2
    assert sizes.chosen({"sdist": {"size": 4}}) == 4


def test_jars_count_once_whatever_the_number_of_their_sets() -> None:
    parts = sizes.sets_of_jars(["cassandra", "compiler"])
    assert [part.download_bytes > 0 for part in parts[:2]] == [True, False]
    assert all(part.download_bytes == 0 < part.image_bytes for part in parts[2:])


def test_the_table_has_the_largest_and_all() -> None:
    parts = [sizes.Part(f"p{number}", 10**6 * number, 0, 0) for number in range(1, 13)]
    lines = sizes.table(parts).splitlines()
    assert (lines[2], lines[-2], lines[-1]) == (
        "| p12 | 12 MB |  |  |",
        "| 2 others | 3 MB |  |  |",
        "| all 12 | 78 MB |  |  |",
    )


def test_folders_of_a_home_have_their_sizes(tmp_path: Path) -> None:
    (tmp_path / "data" / "kafka").mkdir(parents=True)
    (tmp_path / "data" / "kafka" / "log").write_bytes(b"x" * 2_000_000)
    assert [*sizes.held([tmp_path / "data" / "kafka", tmp_path])][1:] == [
        "| data/kafka | 2 MB |",
        f"| {tmp_path.parent.name}/{tmp_path.name} | 2 MB |",
    ]
