"""Whom the kernel prefers: it shares the processor among sessions first, and each server has one of its own.

See sched(7), "The autogroup feature". Where there is none (macOS, a container, a kernel without it) all are equal.
"""

import errno
from contextlib import suppress
from pathlib import Path

from tenacity import Retrying, retry_if_exception, stop_after_delay, wait_fixed

NORMAL, LATER, LOWEST = 0, 5, 19
"""Values of `nice` for a session. LATER has a third of the weight of NORMAL: enough to start beside a busy program."""
_PATIENCE_S = 5


def weigh(pid: int, nice: int) -> None:
    """Sets the weight of the session that the process is in; does nothing where that cannot be.

    Linux takes ten such changes a second from all of its ordinary users together, so this waits for its turn.
    """
    changing = Retrying(
        stop=stop_after_delay(_PATIENCE_S), wait=wait_fixed(0.05), retry=retry_if_exception(_may_pass), reraise=True
    )
    with suppress(OSError):  # no such feature, or the process is gone
        changing(Path(f"/proc/{pid}/autogroup").write_text, str(nice), "ascii")


def _may_pass(error: BaseException) -> bool:
    return isinstance(error, OSError) and error.errno == errno.EAGAIN
