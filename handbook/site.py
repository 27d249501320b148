"""The site: the pages laid out as Zensical wants them, built, and read again for links that lead nowhere."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

from handbook import ROOT
from handbook.pages import LINK, OF_THE_PROJECT, links, pages

HERE = Path(__file__).parent
CONFIG = HERE / "zensical.toml"
_ASSETS = ("iframe-worker.js", "extra.css")
_FENCE = "~~~~~~"
_TABLE_ROW = re.compile(r"^\|.*$", re.MULTILINE)
_LONG_CODE = re.compile(r"(?<!`)`(?P<code>[^`\s]{45,})`(?!`)")
"""Code of one word that is longer than a column should be wide."""
_MAY_END = re.compile("(?:&#(?:47|58|95);)+")
"""Slashes, colons and underscores, as entities."""
_LINE_MAY_END = r"\g<0><wbr>"
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")


def build(folder: Path) -> list[str]:
    """Makes the site in the folder, whose content is replaced; returns what is wrong with it."""
    work = folder.parent / f"{folder.name}.work"
    shutil.rmtree(work, ignore_errors=True)
    lay_out(work / "pages")
    shutil.copy(CONFIG, work)
    command = [str(Path(sys.executable).with_name("zensical")), "build", "--strict"]
    done = subprocess.run(command, cwd=work, capture_output=True, text=True, check=False)  # noqa: S603 - of the lock
    if done.returncode:
        return [_COLOUR.sub("", done.stdout) or done.stderr]
    shutil.rmtree(folder, ignore_errors=True)
    (work / "site").rename(folder)
    return sorted(broken(folder))


def lay_out(folder: Path) -> None:
    """Copies pages and pictures, and what they link to, with links that lead to the copies."""
    linked = {link.target for page in pages() for link in links(page)}
    for page in pages():
        if page != ROOT / "README.md":  # of which the site's first page is a longer one
            _put(folder / placed(page), _relinked(page))
    for file in sorted(linked - set(pages())):
        if file.is_file() and file.suffix != ".svg":
            _put(folder / placed(file), _shown(file))
    for picture in (ROOT / "docs").glob("*.svg"):
        shutil.copy(picture, folder)
    (folder / "assets").mkdir()
    for asset in _ASSETS:
        shutil.copy(HERE / asset, folder / "assets")


def placed(file: Path) -> Path:
    """Where the site's folder of pages has a file of the repository; a folder is where its README is."""
    if file.is_dir():
        file /= "README.md"
    place = file.relative_to(ROOT)
    if place.parts[0] == "docs":
        place = place.relative_to("docs")
        return place.with_name("index.md") if place.name == "README.md" else place
    if place == Path("README.md"):
        return Path("index.md")
    if str(place) in OF_THE_PROJECT:
        return Path("project", place)
    return Path("source", f"{str(place).lstrip('.')}.md")  # Zensical overlooks what is hidden


def broken(folder: Path) -> Iterator[str]:
    """Links of the built pages that lead to no file or no place in it, and what would be fetched from elsewhere."""
    read = {path: _Page(path.read_text("utf-8")) for path in sorted(folder.rglob("*.html")) if path.name != "404.html"}
    for path, page in read.items():
        here = path.relative_to(folder)
        yield from (f"{here} fetches {address}" for address in page.fetched if "://" in address)
        for address in page.linked | page.fetched:
            parts = urlsplit(address)
            if parts.scheme:
                continue
            target = Path(os.path.normpath(path.parent / unquote(parts.path))) if parts.path else path
            if not target.is_file():
                yield f"{here} links to {address}, which is not there"
            elif parts.fragment and unquote(parts.fragment) not in read[target].names:
                yield f"{here} links to {address}, where no such place is"


class _Page(HTMLParser):
    """What a page links to, fetches, and has names for."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.linked: set[str] = set()
        self.fetched: set[str] = set()
        self.names: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.names.update(given[name] for name in ("id", "name") if name in given)
        if tag == "a" and "href" in given:
            self.linked.add(given["href"])
        elif tag == "link" and given.get("rel") in ("stylesheet", "icon"):
            self.fetched.add(given["href"])
        elif "src" in given:
            self.fetched.add(given["src"])


def _put(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, "utf-8")


def _relinked(page: Path) -> str:
    """The page with links for its place on the site. Links to headings stay: both make them in the same way."""
    here = placed(page).parent

    def moved(found: re.Match[str]) -> str:
        target, mark, anchor = found["target"].partition("#")
        if not target or "://" in target or target.startswith("mailto:"):
            return found["target"]
        file = (page.parent / target).resolve()
        if not file.exists():  # no link, but code that looks like one
            return found["target"]
        return f"{os.path.relpath(placed(file) if file.suffix != '.svg' else file.name, here)}{mark}{anchor}"

    return breakable(LINK.sub(moved, page.read_text("utf-8")))


def breakable(text: str) -> str:
    """The page with places in the long words of tables, e.g. names of tests, where a line of theirs may end."""
    return _TABLE_ROW.sub(lambda row: _LONG_CODE.sub(_broken_up, row[0]), text)


def _broken_up(found: re.Match[str]) -> str:
    # Entities, so that Markdown sees no emphasis in it.
    code = "".join(letter if letter.isalnum() else f"&#{ord(letter)};" for letter in found["code"])
    return f"<code>{_MAY_END.sub(_LINE_MAY_END, code)}</code>"


def _shown(file: Path) -> str:
    """A file of another kind as a page, which no search finds."""
    language = {".py": "python", ".toml": "toml", ".yaml": "yaml"}.get(file.suffix, "text")
    name = file.relative_to(ROOT)
    text = file.read_text("utf-8")
    return f"---\nsearch:\n  exclude: true\n---\n# `{name}`\n\n{_FENCE}{language}\n{text}\n{_FENCE}\n"


def in_navigation() -> list[str]:
    """Places of the pages that the site's navigation names."""
    return re.findall(r'= "([\w/.-]+\.md)"', CONFIG.read_text("utf-8"))
