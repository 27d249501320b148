"""Documentation that cannot rot: what it lists is what the code has."""

import html
import re
import shlex
import subprocess
import tomllib
from itertools import takewhile
from pathlib import Path

import click
import pytest
import yaml

from handbook import pages, site
from handbook.generated import BLOCK, blocks, filled
from penstock.cli import cli
from penstock.doctor import machine
from penstock.pipelines.record import Reason
from penstock.pipelines.types import TYPES, type_name

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = [page for page in pages.pages() if page.name != "CHANGELOG.md" and page.parent.name != "decisions"]
COMMANDS = sorted(cli.commands)
PARTS = sorted(
    (group, name)
    for group, command in cli.commands.items()
    if isinstance(command, click.Group)
    for name in command.commands
)


def shell_lines(page: Path) -> list[list[str]]:
    blocks = re.findall(r"```sh\n(.*?)```", page.read_text("utf-8"), re.DOTALL)
    return [shlex.split(line, comments=True) for block in blocks for line in block.splitlines() if line.strip()]


def commands_of(page: Path) -> list[list[str]]:
    """The arguments of every `penstock …` line in the page's shell blocks."""
    return [
        list(takewhile(lambda word: word not in {"|", "&"}, line[index + 1 :]))
        for line in shell_lines(page)
        for index, word in enumerate(line)
        if Path(word).name == "penstock" and line[0] != "git"
    ]


def test_the_same_pythons_are_named_everywhere() -> None:
    names = ("README.md", "Dockerfile", "docs/docker.md", "docs/start.md", "docs/install.md", "scripts/setup")
    text = {name: (ROOT / name).read_text("utf-8") for name in names}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    lowest, beyond = map(int, re.findall(r"3\.(\d+)", project["requires-python"]))
    *others, last = [f"3.{minor}" for minor in range(lowest, beyond)]
    listed = f"Python {', '.join(others)} or {last}"
    assert all(listed in text[name] for name in ("README.md", "docs/start.md", "docs/install.md"))
    assert f"needs {listed}" in text["scripts/setup"]
    assert " ".join(f"python{one}" for one in (last, *reversed(others))) in text["scripts/setup"]
    assert f"(3, {lowest}) <= sys.version_info[:2] <= (3, {beyond - 1})" in text["scripts/setup"]
    assert all(f"{others[0]} to {last}" in text[name] for name in ("Dockerfile", "docs/docker.md"))
    grades = [machine.python((3, minor)).grade for minor in range(lowest - 1, beyond + 1)]
    assert grades == ["failed", *["ok"] * (beyond - lowest), "failed"]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_in_the_documentation_can_be_parsed(page: Path) -> None:
    for arguments in commands_of(page):
        options, rest = cli.make_context("penstock", list(arguments)).params, arguments
        assert options is not None
        name = next(word for word in rest if not word.startswith("-"))
        command = cli.commands[name]
        command.make_context(name, [*rest[rest.index(name) + 1 :]])


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_no_command_to_copy_ends_in_a_comment(page: Path) -> None:
    """Typed into zsh, macOS' shell, a comment is further arguments."""
    blocks = re.findall(r"```sh\n(.*?)```", page.read_text("utf-8"), re.DOTALL)
    assert re.findall(r"^.*\S[ \t]+#.*$", "\n".join(blocks), re.MULTILINE) == []


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_is_documented(name: str) -> None:
    begin = f"### `penstock {name}`\n\n<!-- generated: command {name} -->\n"
    assert begin in (DOCS / "commands.md").read_text("utf-8")


@pytest.mark.parametrize("name", COMMANDS)
def test_help_of_every_command_ends_in_an_example_that_can_be_parsed(name: str) -> None:
    command = cli.commands[name]
    help_text = command.get_help(click.Context(command, info_name=name))
    lines = [line.strip() for line in help_text.rstrip().splitlines()]
    example = lines[len(lines) - lines[::-1].index("Example:") :]
    assert example
    for line in example:
        words = shlex.split(line.split("|")[0].rstrip("& "))
        if "penstock" in words:
            used = words[words.index("penstock") + 1 :]
            assert name in used
            command.make_context(name, used[used.index(name) + 1 :])


@pytest.mark.parametrize(("group", "name"), PARTS)
def test_every_part_of_a_command_is_documented_and_its_help_ends_in_an_example(group: str, name: str) -> None:
    parent = cli.commands[group]
    assert isinstance(parent, click.Group)
    command = parent.commands[name]
    *_, example = command.get_help(click.Context(command, info_name=name)).rstrip().splitlines()
    words = shlex.split(example)
    assert words[:3] == ["penstock", group, name]
    command.make_context(name, words[3:])
    assert f"<!-- generated: command {group} {name} -->" in (DOCS / "commands.md").read_text("utf-8")


@pytest.mark.parametrize("page", pages.pages(), ids=lambda page: page.name)
def test_what_pages_have_from_the_code_is_what_the_code_says(page: Path) -> None:
    text = page.read_text("utf-8")
    assert filled(text) == text, "run: scripts/docs write"


def test_everything_that_the_code_writes_is_on_a_page() -> None:
    named = [found["name"] for page in pages.pages() for found in BLOCK.finditer(page.read_text("utf-8"))]
    assert sorted(named) == sorted(blocks())


@pytest.mark.parametrize("reason", list(Reason))
def test_every_reason_for_a_dead_letter_is_documented(reason: Reason) -> None:
    assert f"| `{reason}` |" in (DOCS / "dead-letters.md").read_text("utf-8")


def test_every_link_to_a_file_or_a_heading_of_ours_leads_there() -> None:
    assert pages.broken() == []


def test_every_page_is_in_the_navigation_of_the_site_and_on_its_first_page() -> None:
    placed = {str(site.placed(page)): page for page in pages.pages() if page != ROOT / "README.md"}
    own = {place: page for place, page in placed.items() if page.parent.name != "decisions" or page.name == "README.md"}
    assert sorted(site.in_navigation()) == sorted(own)
    first = {link.target for link in pages.links(DOCS / "README.md")} | {DOCS / "README.md"}
    assert set(own.values()) - first == set()


def test_every_decision_has_one_heading_with_its_number() -> None:
    for page in (DOCS / "decisions").glob("[0-9]*.md"):
        assert pages.headings(page.read_text("utf-8"))[0].startswith(page.name[:3])


@pytest.mark.parametrize("page", pages.pages(), ids=lambda page: page.name)
def test_a_list_begins_after_an_empty_line(page: Path) -> None:
    """On GitHub it need not; the site would take it for text."""
    text = re.sub(r"^ *```.*?^ *```", "", page.read_text("utf-8"), flags=re.DOTALL | re.MULTILINE)
    assert re.findall(r"^(?! *[-*] | *\d+\. |  |<!--)\S.*\n(?:[-*]|\d+\.) .*", text, re.MULTILINE) == []


@pytest.mark.parametrize("page", pages.pages(), ids=lambda page: page.name)
def test_what_belongs_to_an_item_of_a_list_is_indented_by_four(page: Path) -> None:
    """On GitHub two are enough; on the site the list would end before it."""
    outside = re.sub(r"^```.*?^```", "", page.read_text("utf-8"), flags=re.DOTALL | re.MULTILINE)
    assert re.findall(r"\n\n {1,3}\S.*", outside) == []
    assert re.findall(r"\n {4,}\S.*\n[-*] .*", outside) == []


def test_readme_fits_on_two_screens() -> None:
    assert len((ROOT / "README.md").read_text("utf-8").splitlines()) <= 90


def test_every_place_where_a_change_belongs_is_there() -> None:
    section = (ROOT / "CONTRIBUTING.md").read_text("utf-8").partition("## Where a change belongs")[2]
    table = [line for line in section.splitlines() if line.startswith("| ")]
    places = [place for line in table for place in re.findall(r"`([a-z/_]+(?:\.py|/))`", line)]
    assert len(places) > 5
    assert [place for place in places if not (ROOT / "src" / "penstock" / place).exists()] == []


def test_the_tree_of_the_documentation_is_the_tree() -> None:
    drawn = (ROOT / "docs" / "architecture.md").read_text("utf-8").partition("src/penstock/\n")[2].partition("```")[0]
    named = {name.strip("/") for name in re.findall(r"(?:^  |  |, )([a-z_]+(?:/|\.py))", drawn)}
    there = {path.name for path in (ROOT / "src" / "penstock").iterdir() if path.is_file() or any(path.glob("*.py"))}
    assert there - named - {"__main__.py", "py.typed", "contract.py"} == set()


def test_every_type_of_field_has_its_line() -> None:
    text = (ROOT / "docs" / "declaration.md").read_text("utf-8")
    for kind, row in TYPES.items():
        assert re.search(rf"^\| `{re.escape(type_name(kind))}`[^|]* \| `{re.escape(row.cql)}` \|", text, re.MULTILINE)


def test_changelog_and_tags_follow_the_version() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["version"]
    release, _, unreleased = version.partition(".dev")
    headings = re.findall(r"^## (\S+), (.*)$", (ROOT / "CHANGELOG.md").read_text("utf-8"), re.MULTILINE)
    numbers = [tuple(map(int, number.split("."))) for number, _ in headings]
    assert numbers == sorted(set(numbers), reverse=True)
    assert headings[0][0] == release
    assert (headings[0][1] == "not released yet") == bool(unreleased)
    git = ("git", "-C", str(ROOT), "tag", "--points-at", "HEAD", "v*")
    tags = subprocess.run(git, capture_output=True, text=True, check=True).stdout.split()
    assert set(tags) <= {f"v{version}"}


def test_the_citation_says_what_the_package_says() -> None:
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text("utf-8"))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    assert cited["cff-version"] == "1.2.0"
    assert (cited["license"], cited["title"].lower()) == (project["license"], project["name"])
    assert cited["message"]
    assert cited["authors"]


@pytest.mark.parametrize(
    "form", sorted((ROOT / ".github" / "ISSUE_TEMPLATE").glob("[!c]*.yml")), ids=lambda form: form.name
)
def test_templates_for_issues_ask_for_what_is_needed(form: Path) -> None:
    template = yaml.safe_load(form.read_text("utf-8"))
    asked = [part for part in template["body"] if part["type"] != "markdown"]
    assert template["name"]
    assert template["description"]
    assert len({part["id"] for part in asked}) == len(asked)
    assert any(part.get("validations", {}).get("required") for part in asked)
    named = re.findall(r"`penstock ([a-z][a-z-]*)", form.read_text("utf-8"))
    assert [name for name in named if name not in cli.commands] == []


def test_long_words_in_tables_of_the_site_have_places_where_a_line_may_end() -> None:
    name = "tests/unit/test_secure.py::test_each_client_has_credentials_of_its_own"
    [row, text] = site.breakable(f"| a | `{name}` | `short` |\nand `{name}`").splitlines()
    assert (text, "`short`" in row) == (f"and `{name}`", True)
    shown = row.partition("<code>")[2].partition("</code>")[0]
    assert html.unescape(shown.replace("<wbr>", "")) == name
    assert "&#95;<wbr>of&#95;<wbr>its&#95;<wbr>own" in shown
