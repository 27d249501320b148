"""The user's environment: what of it the stack does not get."""

import os
from collections.abc import Mapping

from penstock.config import Settings, ignored
from penstock.doctor.finding import Finding, fine, note
from penstock.launcher.process import MARKER


def environment(settings: Settings, environ: Mapping[str, str] | None = None) -> Finding:
    """Names what other programs would obey and the servers of the stack do not; never a value, which may be secret."""
    given = os.environ if environ is None else environ
    if MARKER in given:
        return note(
            "environment",
            f"{MARKER} is set, by which servers are known: what you start from here is taken for one",
            f"unset {MARKER}; penstock down would end what carries it",
        )
    names = ignored(settings, environ)
    if not names:
        return fine("environment", "nothing in it is kept from the servers of the stack")
    what = f"kept from the servers of the stack: {', '.join(names)}"
    return note("environment", what, "What your pipeline needs of it: PENSTOCK_STACK_PASS_ENVIRONMENT=NAME,NAME")
