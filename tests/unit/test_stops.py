"""A checkpoint is one stream's, whatever links lead to it; a damaged one is refused."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from penstock.errors import StreamError
from penstock.stream.failures import check_checkpoint, only_one
from penstock.users import USERS


def test_a_checkpoint_is_held_against_who_comes_by_a_link(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "checkpoint")
    with (
        only_one(str(tmp_path / "checkpoint")),
        pytest.raises(StreamError, match="is held by process"),
        only_one(str(tmp_path / "link")),
    ):
        pass


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    """As Spark 4.2.0 leaves it after a micro-batch."""
    offsets = json.dumps({USERS.topic: {"0": 40, "1": 80}})
    files = {
        "metadata": '{"id":"6b3fb8be"}',
        "offsets/0": f'v1\n{{"batchWatermarkMs":0}}\n{offsets}',
        "commits/0": "v1\n{}",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def cut_offsets(place: Path) -> None:
    (place / "offsets" / "0").write_text("v1\n{")


def empty_offsets(place: Path) -> None:
    (place / "offsets" / "0").write_text("")


def spoil_metadata(place: Path) -> None:
    (place / "metadata").write_bytes(b"\x00" * 45)


def lose_offsets(place: Path) -> None:
    shutil.rmtree(place / "offsets")


@pytest.mark.parametrize("damage", [cut_offsets, empty_offsets, spoil_metadata, lose_offsets])
def test_a_damaged_checkpoint_is_refused(checkpoint: Path, damage: Callable[[Path], None]) -> None:
    check_checkpoint(str(checkpoint), USERS)
    damage(checkpoint)
    with pytest.raises(StreamError, match=r"is damaged: .*Move the checkpoint away"):
        check_checkpoint(str(checkpoint), USERS)


def test_a_checkpoint_that_a_kill_left_before_its_first_micro_batch_is_sound(checkpoint: Path) -> None:
    for folder in ("offsets", "commits"):
        (checkpoint / folder / "0").rename(checkpoint / folder / ".0.6b3fb8be.tmp")
    check_checkpoint(str(checkpoint), USERS)
