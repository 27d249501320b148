"""The ports of the local stack, and who holds them."""

from collections.abc import Collection, Iterator

from penstock.config import Settings
from penstock.doctor.finding import Finding, failed, fine, note
from penstock.errors import ServiceError
from penstock.launcher import control, process_tree
from penstock.launcher.conflicts import conflicts, remedy
from penstock.launcher.ports import loan
from penstock.launcher.process import MARKER, is_of
from penstock.launcher.service import Service


def ports(settings: Settings, services: tuple[Service, ...]) -> Iterator[Finding]:
    """Whether each port is free, or held by this very stack."""
    held = False
    for service in services:
        try:
            found = conflicts(settings.home, [service])
        except ServiceError as error:
            held = True
            yield failed("ports", f"{service.name}: {error}", "Give this machine that address, or use another profile")
            continue
        for one in found:
            held = True
            yield failed("ports", str(one), remedy(settings, services, [one.holder]))
    if not held:
        yield _free({port for service in services for port in service.ports.values()})


def _free(numbers: Collection[int]) -> Finding:
    loans = [said for said in map(loan, numbers) if said]
    if not loans:
        return fine("ports", "free, or held by this stack")
    what = f"free, or held by this stack, but {len(loans)} of {len(numbers)} may be taken at any time: {loans[0]}"
    return note("ports", what, "Choose others: --port-offset, or [ports]")


def leftovers(settings: Settings) -> Finding:
    """Whether processes of an earlier stack of this home live though nobody watches them, or nobody knows of them."""
    state = control.status(settings, memory=False)
    living = [service.name for service in state.services if service.pid]
    if living and state.supervisor_pid is None and state.watchdog_pid is None:
        fix = "penstock up watches them again, penstock down ends them"
        return failed("leftovers", f"without a supervisor, which was killed: {', '.join(living)}", fix)
    if living:
        return fine("leftovers", "none: the stack runs")
    left = [one.process.pid for one in process_tree.look() if is_of(one.marker, settings.home)]
    if left:
        shown = ", ".join(map(str, left))
        return failed("leftovers", f"processes {shown} carry {MARKER}=…@{settings.home}", "penstock down ends them")
    return note("leftovers", "nothing runs in this home")
