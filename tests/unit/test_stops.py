"""A checkpoint is one stream's, whatever links lead to it."""

from pathlib import Path

import pytest

from penstock.errors import StreamError
from penstock.stream.failures import only_one


def test_a_checkpoint_is_held_against_who_comes_by_a_link(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "checkpoint")
    with (
        only_one(str(tmp_path / "checkpoint")),
        pytest.raises(StreamError, match="is held by process"),
        only_one(str(tmp_path / "link")),
    ):
        pass
