"""Where a stream is, from checkpoints as Spark writes them."""

import json
from collections.abc import Mapping
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from penstock.stream.progress import Progress, clear_uncommitted

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


def test_first_epoch_begins_where_the_source_began(spark: SparkSession, place: str, tmp_path: Path) -> None:
    begin(tmp_path, {0: 40, 1: 7})
    assert Progress(spark, place, "t").begins(0) == {0: 40, 1: 7}


def test_beginning_is_known_as_soon_as_spark_has_written_it(spark: SparkSession, place: str, tmp_path: Path) -> None:
    assert Progress(spark, place, "t").beginning() is None
    begin(tmp_path, {0: 40, 1: 7})
    assert Progress(spark, place, "t").beginning() == {0: 40, 1: 7}


def test_epoch_begins_where_the_one_before_ended(spark: SparkSession, place: str, tmp_path: Path) -> None:
    begin(tmp_path, {0: 0})
    for number, end in enumerate((10, 25, 30)):
        write(tmp_path, number, {0: end})
    assert Progress(spark, place, "t").begins(2) == {0: 25}


@pytest.mark.parametrize("committed", [[], [0], [0, 1], [0, 1, 2]])
def test_offsets_of_an_epoch_that_was_not_committed_are_removed(
    spark: SparkSession, place: str, tmp_path: Path, committed: list[int]
) -> None:
    for number in range(len(committed) + 1):
        write(tmp_path, number, {0: number})
    (tmp_path / "commits").mkdir()
    for number in committed:
        (tmp_path / "commits" / str(number)).write_text("v1\n{}")
    clear_uncommitted(spark, place)
    assert {path.name for path in (tmp_path / "offsets").iterdir()} == {str(number) for number in committed}


def test_new_checkpoint_has_nothing_that_was_not_committed(spark: SparkSession, tmp_path: Path) -> None:
    clear_uncommitted(spark, str(tmp_path / "none"))
