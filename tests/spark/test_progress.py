"""From which offset to which one a micro-batch goes, from checkpoints as Spark writes them."""

import json
from collections.abc import Mapping
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from penstock.stream.progress import Progress

Ends = Mapping[int, int]


@pytest.fixture(params=["{}", "file://{}"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A checkpoint by its path, and by its URL."""
    (tmp_path / "offsets").mkdir()
    (tmp_path / "sources" / "0").mkdir(parents=True)
    return str(request.param).format(tmp_path)


def write(folder: Path, number: int, ends: Ends) -> None:
    (folder / "offsets" / str(number)).write_text(f'v1\n{{"batchWatermarkMs":0}}\n{said(ends)}')


def begin(folder: Path, starts: Ends) -> None:
    (folder / "sources" / "0" / "0").write_text(f"\0v1\n{said(starts)}")


def said(offsets: Ends) -> str:
    return json.dumps({"t": offsets})


def test_first_micro_batch_goes_from_where_the_source_began(spark: SparkSession, place: str, tmp_path: Path) -> None:
    begin(tmp_path, {0: 40, 1: 7})
    write(tmp_path, 0, {0: 50, 1: 7})
    assert Progress(spark, place, "t").spans(0) == {0: (40, 49), 1: (7, 6)}


def test_partition_in_which_nothing_ever_was_is_left_out(spark: SparkSession, place: str, tmp_path: Path) -> None:
    begin(tmp_path, {0: 0, 1: 0})
    write(tmp_path, 0, {0: 1, 1: 0})
    assert Progress(spark, place, "t").spans(0) == {0: (0, 0)}


def test_beginning_is_known_as_soon_as_spark_has_written_it(spark: SparkSession, place: str, tmp_path: Path) -> None:
    assert Progress(spark, place, "t").beginning() is None
    begin(tmp_path, {0: 40, 1: 7})
    assert Progress(spark, place, "t").beginning() == {0: 40, 1: 7}


def test_micro_batch_goes_on_where_the_one_before_ended(spark: SparkSession, place: str, tmp_path: Path) -> None:
    begin(tmp_path, {0: 0})
    for number, end in enumerate((10, 25, 30)):
        write(tmp_path, number, {0: end})
    progress = Progress(spark, place, "t")
    assert [progress.spans(number) for number in (1, 1, 2)] == [{0: (10, 24)}, {0: (10, 24)}, {0: (25, 29)}]


def test_partition_that_was_added_begins_at_its_first_offset(spark: SparkSession, place: str, tmp_path: Path) -> None:
    write(tmp_path, 6, {0: 10})
    write(tmp_path, 7, {0: 10, 1: 3})
    assert Progress(spark, place, "t").spans(7) == {0: (10, 9), 1: (0, 2)}
