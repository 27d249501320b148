"""What the faults are made with: troubles between two parts of a network, and clocks and disks that are off."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.faults import oddities

pytestmark = pytest.mark.thorough  # they need root, a C compiler, and a network of their own
ROOT = Path(__file__).parents[2]
_ASKED = """
import sys, time
for line in sys.stdin:
    begin = time.monotonic()
    with open(sys.argv[1], "wb", buffering=0) as file:
        file.write(b"x")
    print(time.time(), time.monotonic() - begin, flush=True)
"""


def test_between_two_parts_the_network_is_cut_and_slowed_and_mended() -> None:
    command = (sys.executable, "-m", "tests.services.troubled_network")
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, f"it needs root, unshare, ip, iptables and tc: {done.stderr}"
    found = json.loads(done.stdout)
    assert found.pop("before") == ["heard"]
    assert found.pop("links") == ["client – server"]
    assert found["dropped"] == ["silent", "heard"]
    assert found["reset"] == ["refused", "heard"]
    assert all(after == "heard" for _, after in found.values())


def test_a_clock_jumps_and_a_disk_is_slow_while_the_process_runs(tmp_path: Path) -> None:
    file = tmp_path / "odd"
    oddities.write(file)
    environment = {**os.environ, **oddities.environment(oddities.build(tmp_path), file)}
    command = (sys.executable, "-c", _ASKED, str(tmp_path / "written"))
    with subprocess.Popen(
        command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
    ) as asked:
        assert asked.stdin
        assert asked.stdout

        def ahead_and_slower_s() -> tuple[float, float]:
            asked.stdin.write("\n")  # type: ignore[union-attr]  # as asserted
            at_s, took_s = map(float, asked.stdout.readline().split())  # type: ignore[union-attr]  # as asserted
            return at_s - time.time(), took_s

        assert abs(ahead_and_slower_s()[0]) < 600
        with oddities.odd(file, ahead_s=-10_800, slower_ms=300):
            ahead_s, slower_s = ahead_and_slower_s()
        assert abs(ahead_s + 10_800) < 600
        assert slower_s >= 0.3
        assert abs(ahead_and_slower_s()[0]) < 600
        asked.stdin.close()
