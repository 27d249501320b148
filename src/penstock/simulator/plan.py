"""A bad day from beginning to end: which request meets which fault, drawn from a seed."""

from collections.abc import Mapping
from random import Random

from penstock.simulator import faults
from penstock.simulator.faults import Fault

_GIGABYTE_MIB = 1024
_GOOD_AGAIN = 4
_SPOILED = 0.6

PASSING: Mapping[str, Fault] = {
    "429": faults.failing(429),
    "429 and seconds": faults.failing(429, Retry_After="1"),
    "429 and a date": faults.limited_until_later,
    "403": faults.failing(403),
    "500": faults.failing(500),
    "502": faults.failing(502),
    "503": faults.failing(503),
    "silent": faults.silent,
    "dripping": faults.dripping(20, pause_s=0.05),
    "reset": faults.reset,
    "body cut": faults.cut_body,
    "JSON cut": faults.cut_json,
    "HTML": faults.page_of_html,
    "no results": faults.no_list,
    "empty results": faults.no_items,
    "one fewer": faults.fewer_items,
    "one more": faults.more_items,
    "another page": faults.wrong_echo(page=0),
    "another seed": faults.wrong_echo(seed="other"),
    "another version": faults.wrong_echo(version="1.5"),
}
"""Faults that are over with the next attempt."""

ENDING: Mapping[str, Fault] = {
    "huge": faults.huge(_GIGABYTE_MIB, announced=False),
    "huge and announced": faults.huge(_GIGABYTE_MIB, announced=True),
    "bomb": faults.bomb(_GIGABYTE_MIB),
    "moved": faults.moved("http://penstock.invalid/api/"),
}
"""Faults that end a run at once; the task's next attempt meets none."""

LYING: Mapping[str, Fault] = {"one bad person": faults.bad_person, "page before": faults.page_before}
"""Faults that nobody can notice: the answer is taken for the API's."""


class Plan:
    """The same seed gives the same request the same fault, on every machine.

    Every fourth request is answered well, so that eight attempts suffice for a page.
    """

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._faults = {**PASSING, **ENDING, **LYING}

    def __call__(self, request: int) -> Fault | None:
        name = self.name(request)
        return self._faults[name] if name else None

    def name(self, request: int) -> str:
        """The name of the fault that the request of this number meets; empty where it is answered well."""
        chance = Random(f"{self._seed}/{request}").random  # noqa: S311 - a plan, no secret
        if request % _GOOD_AGAIN == 0 or chance() >= _SPOILED:
            return ""
        return list(self._faults)[int(chance() * len(self._faults))]
