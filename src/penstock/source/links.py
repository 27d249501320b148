"""The header `Link` of an answer (RFC 8288): which address stands in which relation to it.

Read here and not by httpx, which loses a relation behind a parameter such as `title="a=b"`, one in capitals, one of
several, and what follows a semicolon in an address: a list would end there, and nobody would know.
"""

import re

_TOKEN = r"[^\s=;,\"<>]+"  # noqa: S105 - a word of the grammar
_VALUE = r"\"(?:[^\"\\]|\\.)*\"|[^\s;,\"]*"
_LINK = re.compile(rf"<([^<>]*)>((?:\s*;(?:\s*{_TOKEN}(?:\s*=\s*(?:{_VALUE}))?)?)*)")
_PARAMETER = re.compile(rf";\s*({_TOKEN})\s*=\s*({_VALUE})")


def links_of(header: str) -> dict[str, str]:
    """Relation, in small letters -> address. Of two links in the same relation the first one counts."""
    found: dict[str, str] = {}
    for address, parameters in _LINK.findall(header):
        relations = (value for name, value in _PARAMETER.findall(parameters) if name.lower() == "rel")
        for relation in next(relations, "").strip("\"'").lower().split():
            found.setdefault(relation, address.strip())
    return found
