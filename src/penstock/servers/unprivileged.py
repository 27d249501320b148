"""The account that a server runs as where we are root and the server refuses to run as root, as Postgres does.

Files stay where they are and closed to everybody else. The account is lent one capability instead, with which it enters
folders that only root may enter: a clone in /root, a home of mode 0700.
"""

import os
import pwd
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path

from penstock.errors import ServiceError

ACCOUNT = "nobody"
"""On every Unix."""

# Bit numbers: capability.h of Linux.
_SETPCAP = 8
_ENTERING = {"dac_read_search": 2, "dac_override": 1}
"""Capabilities that open folders, the weaker one first; a container usually has the second one only."""


def applies() -> bool:
    """Whether we are root, so that the account is needed."""
    return os.geteuid() == 0


def prefix() -> tuple[str, ...]:
    """The beginning of a command that shall not run as root; nothing for everybody else.

    `setpriv` replaces itself by the command: the process id stays.

    Raises:
        ServiceError: setpriv is absent.
    """
    if not applies():
        return ()
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        raise ServiceError(
            "Postgres does not run as root, and setpriv (util-linux) is absent. Run as an ordinary user."
        )
    held = _held()
    lent = [f"{option}=+{name}" for name in _entering(held)[:1] for option in ("--inh-caps", "--ambient-caps")]
    # Without this, access(2) ignores the capabilities of everybody but root, and initdb asks it whether postgres may be
    # executed: `access_override_creds` in https://github.com/torvalds/linux/blob/v6.12/fs/open.c
    counted = ["--securebits=+no_setuid_fixup"] if _holds(held, _SETPCAP) else []
    return (setpriv, f"--reuid={ACCOUNT}", "--clear-groups", f"--regid={_group()}", *lent, *counted, "--")


def give(path: Path) -> None:
    """Makes the account the owner of a file or folder; does nothing where we are not root."""
    if applies():
        shutil.chown(path, ACCOUNT, _group())


def check_entry(program: Path, data: Path, capabilities: int | None = None) -> None:
    """Checks that the account reaches the server's program and its data, where we are root.

    `capabilities` is a mask of those we hold, looked up by default.

    Raises:
        ServiceError: a folder is closed to it, and in this container root may not lend it the right to enter.
    """
    held = _held() if capabilities is None else capabilities
    lent, counted = bool(_entering(held)), _holds(held, _SETPCAP)
    paths = [*(() if lent and counted else (program,)), *(() if lent else (data,))]
    closed = next((folder for path in paths for folder in _closed_above(path)), None)
    if closed:
        mode = stat.S_IMODE(closed.stat().st_mode)
        raise ServiceError(
            f"Postgres runs as {ACCOUNT}, which may not enter {closed} (mode {mode:04o}), and this root lacks the "
            "capabilities that would let it in: CAP_SETPCAP and CAP_DAC_OVERRIDE. Give it those, or open the folder "
            f"(chmod o+x {closed}), or run as an ordinary user"
        )


def _closed_above(path: Path) -> Iterator[Path]:
    """Folders on the way to the path, and to where links lead, that the account may not enter."""
    for folder in (*reversed(path.parents), *reversed(path.resolve().parents)):
        if folder.exists() and not _enters(folder.stat()):
            yield folder


def _enters(folder: os.stat_result) -> bool:
    if folder.st_uid == pwd.getpwnam(ACCOUNT).pw_uid:
        return bool(folder.st_mode & stat.S_IXUSR)
    return bool(folder.st_mode & (stat.S_IXGRP if folder.st_gid == _group() else stat.S_IXOTH))


def _held() -> int:
    """The mask of capabilities that we hold: CapEff in proc_pid_status(5)."""
    status = Path("/proc/self/status").read_text("ascii", "replace")
    return next((int(line.split()[1], 16) for line in status.splitlines() if line.startswith("CapEff:")), 0)


def _holds(mask: int, bit: int) -> bool:
    return bool(mask & (1 << bit))


def _entering(mask: int) -> tuple[str, ...]:
    return tuple(name for name, bit in _ENTERING.items() if _holds(mask, bit))


def _group() -> int:
    return pwd.getpwnam(ACCOUNT).pw_gid
