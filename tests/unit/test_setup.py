"""scripts/setup, where it installs only what runs the stack, has all that builds the package beside it."""

import re
from importlib.metadata import requires
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]


def needed(name: str) -> set[str]:
    """A distribution and all that it requires here."""
    found = [Requirement(each) for each in requires(name) or ()]
    named = {each.name for each in found if each.marker is None or each.marker.evaluate({"extra": ""})}
    return {name}.union(*map(needed, named))


def test_tools_of_the_setup_are_uv_and_the_build_backend_with_what_they_require() -> None:
    [names] = re.findall(r"\^\(([a-z|-]+)\)==", (ROOT / "scripts/setup").read_text("utf-8"))
    # An editable build asks for `editables` when it begins: hatchling's own metadata do not name it.
    assert set(names.split("|")) == {"uv", "editables"} | needed("hatchling")
