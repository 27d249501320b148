"""How one request leads to the next: a small class for each kind of paging, and the protocol for your own.

Names are those of dlt's REST client where it has one. No kind guesses the end from a page that is shorter than asked
for, as an API may give fewer than that: a list is read until it ends.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Annotated, Any, Literal, NoReturn, Protocol, runtime_checkable

import pydantic.dataclasses
from pydantic import ConfigDict, Field

from penstock.errors import ConfigError
from penstock.source.places import AbsentError, at, at_in_an_object, came, is_there, shown_value, whole_number

log = logging.getLogger(__name__)

_EXACT = ConfigDict(extra="forbid")
Size = Annotated[int, Field(gt=0)]
EndStatus = Literal[0, 400, 404, 410, 416, 422]
"""What APIs answer behind their last page; 0: this one gives an empty list."""


@pydantic.dataclasses.dataclass(frozen=True)
class Body:
    """A place in the request's JSON, by a dotted path; stands for the name of a parameter, as in
    `Cursor(cursor_param=Body("variables.after"))`.
    """

    path: str


Place = str | Body
Value = str | int | float | bool


@dataclass(frozen=True)
class Ask:
    """The part of one request that is its own, beside what is declared for all."""

    params: Mapping[Place, Value] = field(default_factory=dict)
    url: str = ""
    """In place of the declared address and parameters: what an answer named as the next page."""
    memory: Any = None
    """For the paging itself; it is not sent."""
    may_repeat: bool = False
    """Whether an answer with the same items as an earlier one is none of our business; else it is an error."""
    end_status: int = 0
    """An HTTP status that says that there is no such page: the list ended with the page before. 0: none says so."""


@dataclass(frozen=True)
class Seen:
    """One answer, as a paging sees it."""

    ask: Ask
    document: Any
    """The parsed body."""
    items: list[Any]
    links: Mapping[str, str]
    """Relation in small letters -> address, from the header `Link`."""
    total: int | None = None
    """What the API states, if `Source.total` says where."""
    items_so_far: int = 0
    """This answer's included; where there is a total, items that came twice count once."""

    @property
    def is_complete(self) -> bool:
        return self.total is not None and self.items_so_far >= self.total


class WrongAnswerError(Exception):
    """The answer is of the right form, but to another question; it is asked again. The text says what is wrong."""


@runtime_checkable
class Paging(Protocol):
    """A kind of paging: leads through the pages of one run. It has no state: the same object serves every run."""

    def first(self, seed: str, records: int | None) -> Ask:
        """The first request. `records` is None unless `Source.asked` counts them."""
        ...

    def next(self, seen: Seen) -> Ask | None:
        """The request after this answer; None at the end.

        Raises:
            WrongAnswerError: the answer cannot be one to the request.
        """
        ...


@dataclass(frozen=True)
class FirstPage:
    """One page, whatever the answer says of others: for who wants the newest items only, say."""

    def first(self, seed: str, records: int | None) -> Ask:
        return Ask()

    def next(self, seen: Seen) -> None:
        return None


@pydantic.dataclasses.dataclass(frozen=True, config=_EXACT, kw_only=True)
class Page:
    """Numbered pages, until one is empty; or as many as the answer says (`pages_path`), or while it says that there are
    more (`has_more_path`). `end_status` is for an API that answers with a status, 404 say, where a list ends.
    """

    page_param: Place = "page"
    base_page: int = 1
    size_param: Place = ""
    size: Size | None = None
    pages_path: str = ""
    has_more_path: str = ""
    end_status: EndStatus = 0

    def first(self, seed: str, records: int | None) -> Ask:
        return Ask({self.page_param: self.base_page, **_sized(self.size_param, self.size)})

    def next(self, seen: Seen) -> Ask | None:
        number = int(seen.ask.params[self.page_param])
        if self.pages_path:
            more = number - self.base_page + 1 < _whole(seen, self.pages_path, "pages_path")
        elif self.has_more_path:
            more = _flag(seen, self.has_more_path)
        else:
            return None if _ends(seen) else self._after(seen, number)
        if more and not seen.items:
            raise WrongAnswerError(f"page {number} is empty, while it says that there are more")
        return self._after(seen, number) if more else None

    def _after(self, seen: Seen, number: int) -> Ask:
        return replace(seen.ask, params={**seen.ask.params, self.page_param: number + 1}, end_status=self.end_status)


@pydantic.dataclasses.dataclass(frozen=True, config=_EXACT, kw_only=True)
class Offset:
    """An offset and a limit, until a page is empty; or while the answer says that there are more (`has_more_path`).

    The first offset is `offset`: 1 for an API that counts from there. The next one adds what came, not what was asked
    for. Where rows are added or removed meanwhile, others move under the offset: what comes twice is counted, and what
    is skipped is only noticed where `Source.total` is declared.
    """

    limit: Size = 100
    offset: Annotated[int, Field(ge=0)] = 0
    offset_param: Place = "offset"
    limit_param: Place = "limit"
    has_more_path: str = ""
    end_status: EndStatus = 0

    def first(self, seed: str, records: int | None) -> Ask:
        return Ask({self.offset_param: self.offset, **_sized(self.limit_param, self.limit)})

    def next(self, seen: Seen) -> Ask | None:
        if not _flag(seen, self.has_more_path) if self.has_more_path else _ends(seen):
            return None
        if not seen.items:
            raise WrongAnswerError("the page is empty, while it says that there are more")
        offset = int(seen.ask.params[self.offset_param]) + self._moved_by(seen.items)
        return replace(seen.ask, params={**seen.ask.params, self.offset_param: offset}, end_status=self.end_status)

    def _moved_by(self, items: list[Any]) -> int:
        """Of more items than were asked for, one that comes twice does not count: it would make us skip another one."""
        return len(items) if len(items) <= self.limit else len({repr(item) for item in items})


@pydantic.dataclasses.dataclass(frozen=True, config=_EXACT, kw_only=True)
class Cursor:
    """Each answer names the cursor of the next one, until it names none, or says that there are no more."""

    cursor_path: str = "cursors.next"
    cursor_param: Place = "cursor"
    size_param: Place = ""
    size: Size | None = None
    has_more_path: str = ""

    def first(self, seed: str, records: int | None) -> Ask:
        return Ask(_sized(self.size_param, self.size))

    def next(self, seen: Seen) -> Ask | None:
        if self.has_more_path and not _flag(seen, self.has_more_path):
            return None
        cursor = _named_next(seen, self.cursor_path, "cursor_path", is_first=self.cursor_param not in seen.ask.params)
        if cursor in (None, ""):
            if self.has_more_path:
                raise WrongAnswerError(f"{self.cursor_path} names no cursor, while {self.has_more_path} is true")
            return None
        if isinstance(cursor, bool) or not isinstance(cursor, (str, int)):
            raise WrongAnswerError(f"{self.cursor_path} is {shown_value(cursor)}, which is no cursor")
        return replace(seen.ask, params={**seen.ask.params, self.cursor_param: cursor})


@pydantic.dataclasses.dataclass(frozen=True, config=_EXACT, kw_only=True)
class NextUrl:
    """Each answer names the address of the next one in its body, until it names none."""

    next_url_path: str = "next"
    size_param: Place = ""
    size: Size | None = None

    def first(self, seed: str, records: int | None) -> Ask:
        return Ask(_sized(self.size_param, self.size))

    def next(self, seen: Seen) -> Ask | None:
        url = _named_next(seen, self.next_url_path, "next_url_path", is_first=not seen.ask.url)
        if url in (None, ""):
            return None
        if not isinstance(url, str):
            raise WrongAnswerError(f"{self.next_url_path} is {shown_value(url)}, which is no address")
        return Ask(url=url)


@pydantic.dataclasses.dataclass(frozen=True, config=_EXACT, kw_only=True)
class Link:
    """Each answer names the address of the next one in its header `Link` (RFC 8288), until it names none."""

    links_next_key: str = "next"
    size_param: Place = ""
    size: Size | None = None

    def first(self, seed: str, records: int | None) -> Ask:
        return Ask(_sized(self.size_param, self.size))

    def next(self, seen: Seen) -> Ask | None:
        url = seen.links.get(self.links_next_key.lower())
        return Ask(url=url) if url else None


@pydantic.dataclasses.dataclass(frozen=True, config=_EXACT, kw_only=True)
class Generated:
    """An API that makes up exactly as many items as it is asked for, from a seed; the answer echoes the question.

    Items of a page are made one after the other, so a smaller page is the beginning of the full one: asking for more
    records under the same seed gives the same ones and then more. Two pages may be equal, see decisions/030.
    """

    seed_param: str
    page_param: str
    size_param: str
    size: Size
    """Records asked for in one request."""
    max_pages: Size
    """Pages are numbered from 1 to this."""
    records: Size
    """Records asked for in one run, where the run does not say."""
    echoes: Mapping[str, str] = field(default_factory=dict)
    """Dotted path in the answer -> the value that must stand there: `{seed}`, `{page}`, `{size}` or a literal."""

    @property
    def most_records(self) -> int:
        """The most records that one run can ask for."""
        return self.size * self.max_pages

    def asked(self, records: object) -> int:
        """The number of records that a run asks for, if the API can give as many; None asks for the declared number.

        JSON has one kind of number: 20.0 is 20.

        Raises:
            ConfigError: it is no whole number, or none from 1 to `most_records`.
        """
        if isinstance(records, float) and records.is_integer():
            records = int(records)
        if not isinstance(records, int) or isinstance(records, bool):
            raise ConfigError(f"{records!r:.100} records cannot be asked for: records must be a whole number, e.g. 20")
        if not 0 < records <= self.most_records:
            shown = records if abs(records) < 10**18 else "So many"  # Python writes no number of 4,300 digits
            raise ConfigError(f"{shown} records cannot be asked for: this API gives 1 to {self.most_records} in a run")
        return records

    def first(self, seed: str, records: int | None) -> Ask:
        return self._ask(seed, 1, self.asked(self.records if records is None else records))

    def next(self, seen: Seen) -> Ask | None:
        seed, page, left = seen.ask.memory
        size = min(self.size, left)
        self._check(seen, {"seed": seed, "page": page, "size": size})
        return self._ask(seed, page + 1, left - size) if left > size else None

    def _ask(self, seed: str, page: int, left: int) -> Ask:
        params: dict[Place, Value] = {
            self.seed_param: seed,
            self.page_param: page,
            self.size_param: min(self.size, left),
        }
        return Ask(params, memory=(seed, page, left), may_repeat=True)

    def _check(self, seen: Seen, asked: Mapping[str, Any]) -> None:
        for path, template in self.echoes.items():
            expected, found = template.format(**asked), at(seen.document, path)
            if isinstance(found, bool) or str(found) != expected:
                raise WrongAnswerError(f"{path} is {shown_value(found)} where {expected!r} was asked for")
        if len(seen.items) != asked["size"]:
            raise WrongAnswerError(f"it holds {len(seen.items)} items where {asked['size']} were asked for")


def _sized(place: Place, size: int | None) -> dict[Place, Value]:
    return {place: size} if place and size else {}


def _ends(seen: Seen) -> bool:
    return not seen.items or seen.is_complete


def _named_next(seen: Seen, path: str, what: str, *, is_first: bool) -> Any:
    try:
        found = at_in_an_object(seen.document, path, what)
    except AbsentError as error:
        _wrong(error)
    # Many APIs leave it out where the list ends, on a first page too; a path that is written wrong looks the same.
    if is_first and found is None and not is_there(seen.document, path):
        log.warning("the first answer has no %s (%s), which is taken for its end: %s", path, what, came(seen.document))
    return found


def _whole(seen: Seen, path: str, what: str) -> int:
    try:
        return whole_number(at(seen.document, path), f"{path} ({what})")
    except AbsentError as error:
        raise WrongAnswerError(f"{error}: {came(seen.document)}") from error


def _flag(seen: Seen, path: str) -> bool:
    found = at(seen.document, path)
    if not isinstance(found, bool):
        raise WrongAnswerError(
            f"{path} is {shown_value(found)}, which is neither true nor false: {came(seen.document)}"
        )
    return found


def _wrong(error: AbsentError) -> NoReturn:
    raise WrongAnswerError(str(error)) from error


def may_end_unnoticed(paging: Paging | None) -> bool:
    """Whether a list ends where nothing says that it goes on, and a path that is written wrong finds nothing."""
    return (
        paging is None
        or isinstance(paging, (NextUrl, Link))
        or (isinstance(paging, Cursor) and not paging.has_more_path)
    )
