"""The Markdown pages: which there are, their headings, and their links."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from handbook import ROOT

OF_THE_PROJECT = ("README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md")
_FENCE = re.compile(r"^ *```.*?^ *```", re.DOTALL | re.MULTILINE)
_CODE = re.compile(r"`[^`\n]+`")
_COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
_HEADING = re.compile(r"^#+ +(.+?) *$", re.MULTILINE)
LINK = re.compile(r"(?<=\]\()(?P<target>[^)\s]+)(?=\))")


@dataclass(frozen=True)
class Link:
    """One link of a page to a file of the repository."""

    page: Path
    target: Path
    """The page itself, where the link names only an anchor."""
    anchor: str

    def __str__(self) -> str:
        anchor = f"#{self.anchor}" if self.anchor else ""
        return f"{self.page.relative_to(ROOT)} -> {self.target.relative_to(ROOT)}{anchor}"


def pages() -> list[Path]:
    """Every page of the documentation."""
    return [*(ROOT / name for name in OF_THE_PROJECT), *sorted((ROOT / "docs").rglob("*.md"))]


def headings(text: str) -> list[str]:
    """As they stand, code marks and links included."""
    return _HEADING.findall(_FENCE.sub("", text))


def plain(heading: str) -> str:
    """Without marks of code and emphasis, and of a link only its text."""
    return re.sub(r"[`*]", "", re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading))


def anchors(text: str) -> set[str]:
    """What a link may name after the `#`, as GitHub and the site make it of a heading."""
    return {re.sub(r"[^\w\- ]", "", plain(heading).lower()).replace(" ", "-") for heading in headings(text)}


def links(page: Path) -> Iterator[Link]:
    """To files of the repository; code and addresses elsewhere are none."""
    text = _COMMENT.sub("", _CODE.sub("", _FENCE.sub("", page.read_text("utf-8"))))
    for found in LINK.finditer(text):
        target, _, anchor = found["target"].partition("#")
        if "://" not in target and not target.startswith("mailto:"):
            yield Link(page, (page.parent / target).resolve() if target else page, anchor)


def broken() -> list[str]:
    """Links that lead to no file, or to no heading of it."""
    named = {page: anchors(page.read_text("utf-8")) for page in pages()}
    return [
        str(link)
        for page in pages()
        for link in links(page)
        if not link.target.exists() or (link.anchor and link.anchor not in named.get(link.target, ()))
    ]
