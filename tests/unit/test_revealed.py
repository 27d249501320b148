"""The search for secrets finds one that is there: else finding none would mean nothing."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests import revealed

SECRET = "hush4712"
WAITS = "input()"


@contextmanager
def waiting(home: Path, *arguments: str, **environment: str) -> Iterator[None]:
    command = (sys.executable, "-c", WAITS, *arguments)
    surroundings = {**os.environ, "HOME_OF_IT": str(home), **environment}
    with subprocess.Popen(command, env=surroundings, stdin=subprocess.PIPE) as process:
        yield
        process.communicate(b"\n")


def test_a_secret_in_a_command_line_is_found(tmp_path: Path) -> None:
    with waiting(tmp_path, SECRET):
        [found] = revealed.by_processes(tmp_path, [SECRET])
    assert found.endswith(SECRET)


def test_a_secret_in_an_environment_is_found_unless_the_process_needs_it(tmp_path: Path) -> None:
    with waiting(tmp_path, ANY=SECRET), waiting(tmp_path, "-m penstock --verbose stream", ANY=SECRET):
        [found] = revealed.by_processes(tmp_path, [SECRET])
    assert found.endswith(WAITS)


def test_a_secret_in_a_file_is_found(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "log").write_bytes(b"\xff" + SECRET.encode())
    (tmp_path / "other").write_text("nothing")
    assert revealed.by_files([tmp_path], [SECRET]) == [tmp_path / "deep" / "log"]
