"""The account that Postgres runs as where we are root: whether it reaches its files."""

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from penstock.errors import ServiceError
from penstock.servers.unprivileged import check_entry

# Masks of capability.h: what root has in Docker, and that without the right to change how capabilities count.
READ_SEARCH, OVERRIDE, SETPCAP = 1 << 2, 1 << 1, 1 << 8


@pytest.fixture
def closed() -> Iterator[Path]:
    """A folder that only its owner may enter, in one that everybody may; pytest's own folders are closed."""
    with TemporaryDirectory() as around:
        Path(around).chmod(0o755)
        folder = Path(around, "closed")
        folder.mkdir(mode=0o700)
        yield folder


@pytest.mark.parametrize("capabilities", [READ_SEARCH | SETPCAP, OVERRIDE | SETPCAP])
def test_a_capability_that_is_lent_opens_every_folder(closed: Path, capabilities: int) -> None:
    check_entry(closed / "postgres", closed / "data", capabilities)


def test_a_program_in_a_closed_folder_is_refused_where_the_capability_would_not_count(closed: Path) -> None:
    with pytest.raises(ServiceError, match=r"may not enter .* \(mode 0700\).*CAP_SETPCAP.*chmod o\+x"):
        check_entry(closed / "postgres", closed / "data", OVERRIDE)


def test_data_in_a_closed_folder_are_reached_without_it(closed: Path) -> None:
    check_entry(Path("/bin/sh"), closed / "data", OVERRIDE)


def test_data_in_a_closed_folder_are_refused_where_nothing_can_be_lent(closed: Path) -> None:
    with pytest.raises(ServiceError, match="may not enter"):
        check_entry(Path("/bin/sh"), closed / "data", SETPCAP)


def test_a_link_into_a_closed_folder_does_not_hide_it(closed: Path) -> None:
    (closed / "bin").mkdir(mode=0o755)
    link = closed.with_name("link")
    link.symlink_to(closed / "bin")
    with pytest.raises(ServiceError, match=f"may not enter {closed.resolve()} "):
        check_entry(link / "postgres", Path("/bin/sh"), 0)
