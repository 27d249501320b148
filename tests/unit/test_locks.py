"""Locks between processes."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from penstock.locks import HeldError, held

HOLDER = """
import sys
from pathlib import Path
from penstock.locks import held
with held(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_another_process_is_told_who_holds_the_lock_and_gets_it_when_that_is_killed(tmp_path: Path) -> None:
    file = tmp_path / "lock"
    command = [sys.executable, "-c", HOLDER, str(file)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout
        assert holder.stdout.readline() == b"held\n"
        for timeout_s in (0, 0.05):
            with pytest.raises(HeldError) as caught, held(file, timeout_s):
                pass
            assert caught.value.holder == str(holder.pid)
        holder.kill()
    with held(file, timeout_s=None):
        assert file.read_text() == str(os.getpid())


def test_a_lock_that_was_given_back_can_be_had_again(tmp_path: Path) -> None:
    for _ in range(2):
        with held(tmp_path / "lock"):
            pass


def test_the_file_of_an_earlier_version_is_a_lock_like_any_other(tmp_path: Path) -> None:
    (tmp_path / "lock").write_text("4121")
    with held(tmp_path / "lock"):
        assert (tmp_path / "lock").read_text() == str(os.getpid())
