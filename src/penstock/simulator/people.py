"""The people of the simulated API: what a query asks for, and the answer to it.

Promises: the same seed, page and nationalities give the same people, on every machine, Python version and day (ages
are reckoned to a fixed day; the real API reckons them to today). The people of a page are drawn one after the other,
so fewer `results` give the beginning of the same page. Both hold for the real API as well, whose source is cited here:
github.com/RandomAPI/Randomuser.me-Node, `api/1.4/api.js` and `routes/api.js`. The people themselves are invented.
"""

import hashlib
import re
import secrets
import tomllib
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from importlib.resources import files
from random import Random
from typing import Any, TypeVar

_T = TypeVar("_T")

VERSION = "1.4"
MOST_RESULTS = 5_000
LAST_PAGE = 10_000

# A seed of this length carries a nationality: 16 characters and the two hexadecimal digits of its index.
_PICKING_LENGTH = 18
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# `constantTime` of the real API: registrations end there and nobody is younger than 21 years of 365 days then.
_TODAY_MS = 1_653_344_189_000
_TODAY = _EPOCH + timedelta(milliseconds=_TODAY_MS)
_BORN_MS = (-800_000_000_000, _TODAY_MS - 86_400_000 * 365 * 21)
_REGISTERED_MS = (1_016_688_461_000, _TODAY_MS)
_PORTRAITS = "https://randomuser.me/api/portraits"
# What the real API knows and this one does not; refused, so that nobody trusts an answer that ignored them.
_REFUSED = ("callback", "dl", "download", "exc", "extension", "gender", "inc", "lego", "noinfo", "password")


class RefusedError(Exception):
    """A query that the simulator does not answer; the text says why."""


@dataclass(frozen=True)
class Question:
    """A query after the API's silent corrections. No `nationalities` means all."""

    seed: str
    page: int
    results: int
    nationalities: tuple[str, ...] = ()


def question(query: Mapping[str, str]) -> Question:
    """One query as the API understands it: values that it cannot use become 1 or are ignored without an error.

    Raises:
        RefusedError: a parameter of the real API that is not simulated, or a seed that it does not survive.
    """
    refused = [name for name in _REFUSED if name in query]
    if refused:
        raise RefusedError(f"this simulator does not know {', '.join(refused)}, which the real API does")
    shape = query.get("format", query.get("fmt", "json"))
    if shape.lower() != "json":
        raise RefusedError(f"this simulator answers in json, not in {shape}")
    return Question(
        seed=query.get("seed", "") or secrets.token_hex(8),
        page=_whole(query.get("page", ""), LAST_PAGE),
        results=_whole(query.get("results", ""), MOST_RESULTS),
        nationalities=_nationalities(query.get("nat", "")),
    )


def answer(asked: Question) -> dict[str, Any]:
    """The API's answer, ready for JSON."""
    names, seed, echo = asked.nationalities, asked.seed, asked.seed
    if len(seed) == _PICKING_LENGTH:
        index = _picked(seed)
        names, seed, echo = (tuple(_nations())[index],), seed[:16], f"{seed}{index:02x}"
    chance = Random(_number(seed, asked.page)).random  # noqa: S311 - people to play with, no secrets
    nations = [_nations()[name] for name in names or _nations()]
    people = [_person(chance, nations[int(chance() * len(nations))]) for _ in range(asked.results)]
    return {
        "results": people,
        "info": {"seed": echo, "results": asked.results, "page": asked.page, "version": VERSION},
    }


def _whole(text: str, most: int) -> int:
    number = int(text) if re.fullmatch(r"[0-9]{1,9}", text) else 1
    return number if 1 <= number <= most else 1


def _nationalities(text: str) -> tuple[str, ...]:
    names = tuple(name.upper() for name in text.split(",") if name)
    return names if all(name in _nations() for name in names) else ()


def _picked(seed: str) -> int:
    digits = seed[16:]
    if not re.fullmatch(r"[0-9a-fA-F]{2}", digits) or int(digits, 16) >= len(_nations()):
        raise RefusedError(f"a seed of 18 characters ends in the index of a nationality, which {digits!r} is not")
    return int(digits, 16)


def _number(seed: str, page: int) -> int:
    """The generator's own seed. Page 2 of seed `a1` is page 12 of seed `a`, and only 32 bits are left of both."""
    text = seed if page == 1 else f"{seed}{page}"
    return int(hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()[:8], 16)


# --- tables --------------------------------------------------------------------------------------------------------

# A draw from the generator. Only `Random.random` is used: of all methods it alone is documented to give the same
# numbers in every version (https://docs.python.org/3/library/random.html#notes-on-reproducibility).
_Chance = Callable[[], float]
_Draw = Callable[[_Chance], Any]


@dataclass(frozen=True)
class _Name:
    text: str
    ascii: str


@dataclass(frozen=True)
class _Nation:
    code: str
    country: str
    male: Sequence[_Name]
    female: Sequence[_Name]
    last: Sequence[_Name]
    streets: Sequence[str]
    cities: Sequence[str]
    states: Sequence[str]
    postcode: _Draw
    phone: _Draw
    cell: _Draw
    id_name: str
    id_value: _Draw


@dataclass(frozen=True)
class _Common:
    titles: Sequence[str]
    adjectives: Sequence[str]
    animals: Sequence[str]
    passwords: Sequence[str]
    timezones: Sequence[Sequence[str]]


@cache
def _tables() -> dict[str, Any]:
    return tomllib.loads(files(__package__).joinpath("people.toml").read_text("utf-8"))


@cache
def _common() -> _Common:
    return _Common(**_tables()["common"])


@cache
def _nations() -> Mapping[str, _Nation]:
    """In the order of the real API, which is that of their codes."""
    return {code: _nation(code, table) for code, table in _tables().items() if code != "common"}


def _nation(code: str, table: Mapping[str, Any]) -> _Nation:
    id_name, id_pattern = table.get("id", ("", None))
    postcode = table["postcode"]
    return _Nation(
        code=code,
        country=table["country"],
        male=_names(table["male"]),
        female=_names(table["female"]),
        last=_names(table["last"]),
        streets=table["streets"],
        cities=table["cities"],
        states=table["states"],
        postcode=_pattern(postcode) if isinstance(postcode, str) else _between(*postcode),
        phone=_pattern(table["phone"]),
        cell=_pattern(table["cell"]),
        id_name=id_name,
        id_value=_pattern(id_pattern) if id_pattern else lambda _: None,
    )


def _names(texts: Sequence[str]) -> Sequence[_Name]:
    return [_Name(text, _romanised(text)) for text in texts]


def _between(low: int, high: int) -> _Draw:
    return lambda chance: low + int(chance() * (high - low + 1))


def _pattern(pattern: str) -> _Draw:
    """Draws a text: each `#` becomes a digit, each `@` a capital letter. At most 15 digits in a row."""
    parts = [_part(part) for part in re.findall(r"#+|@|[^#@]+", pattern)]
    return lambda chance: "".join(part(chance) for part in parts)


def _part(part: str) -> _Draw:
    if part == "@":
        return lambda chance: chr(65 + int(chance() * 26))
    if part[0] == "#":
        digits, values = len(part), 10 ** len(part)
        return lambda chance: f"{int(chance() * values):0{digits}d}"
    return lambda _: part


# Letters that do not fall apart into a Latin letter and its marks. Persian writes no short vowels: none are guessed.
_LATIN = str.maketrans(
    dict(zip("ıøæßđðłʻ", ("i", "o", "ae", "ss", "d", "d", "l", ""), strict=True))
    | dict(zip("абвгґдежзийклмнопрстуф", "abvhgdezzyiklmnoprstuf", strict=True))
    | dict(zip("єїюяхцчшщьі", ("ie", "i", "iu", "ia", "kh", "ts", "ch", "sh", "shch", "", "i"), strict=True))
    | dict(zip("آابپتثجحخدذرزسشصضطظعغفقکگلمنوهی", "aabptsjhkdzrzsssztzagfqkglmnvhy", strict=True))
    | {"ژ": "zh", "چ": "ch", "ئ": "y"}
)


def _romanised(name: str) -> str:
    """The name in an e-mail address: lower-case ASCII letters, digits and hyphens only."""
    latin = unicodedata.normalize("NFKD", unicodedata.normalize("NFC", name).lower().translate(_LATIN))
    return re.sub(r"[^a-z0-9-]", "", latin)


# --- one person ----------------------------------------------------------------------------------------------------


def _person(chance: _Chance, nation: _Nation) -> dict[str, Any]:
    male = chance() < 0.5
    first, last = _one(chance, nation.male if male else nation.female), _one(chance, nation.last)
    return {
        "gender": "male" if male else "female",
        "name": {"title": "Mr" if male else _one(chance, _common().titles), "first": first.text, "last": last.text},
        "location": _location(chance, nation),
        "email": f"{first.ascii}.{last.ascii}@example.com",
        "login": _login(chance),
        "dob": _moment(chance, *_BORN_MS),
        "registered": _moment(chance, *_REGISTERED_MS),
        "phone": nation.phone(chance),
        "cell": nation.cell(chance),
        "id": {"name": nation.id_name, "value": nation.id_value(chance)},
        "picture": _picture("men" if male else "women", int(chance() * (100 if male else 97))),
        "nat": nation.code,
    }


def _location(chance: _Chance, nation: _Nation) -> dict[str, Any]:
    offset, description = _one(chance, _common().timezones)
    return {
        "street": {"number": 1 + int(chance() * 9999), "name": _one(chance, nation.streets)},
        "city": _one(chance, nation.cities),
        "state": _one(chance, nation.states),
        "country": nation.country,
        "postcode": nation.postcode(chance),
        "coordinates": {"latitude": f"{chance() * 180 - 90:.4f}", "longitude": f"{chance() * 360 - 180:.4f}"},
        "timezone": {"offset": offset, "description": description},
    }


def _login(chance: _Chance) -> dict[str, str]:
    common, salt = _common(), "".join(chr(97 + int(chance() * 26)) for _ in range(8))
    password = _one(chance, common.passwords)
    salted = (password + salt).encode()
    return {
        "uuid": _uuid4(chance),
        "username": _one(chance, common.adjectives) + _one(chance, common.animals) + str(100 + int(chance() * 900)),
        "password": password,
        "salt": salt,
        "md5": hashlib.md5(salted, usedforsecurity=False).hexdigest(),
        "sha1": hashlib.sha1(salted, usedforsecurity=False).hexdigest(),
        "sha256": hashlib.sha256(salted).hexdigest(),
    }


def _uuid4(chance: _Chance) -> str:
    a, b, c, d = (int(chance() * 2**32) for _ in range(4))
    return f"{a:08x}-{b >> 16:04x}-4{b & 0xFFF:03x}-{c >> 16 & 0x3FFF | 0x8000:04x}-{c & 0xFFFF:04x}{d:08x}"


def _moment(chance: _Chance, first_ms: int, last_ms: int) -> dict[str, Any]:
    moment = _EPOCH + timedelta(milliseconds=first_ms + int(chance() * (last_ms - first_ms + 1)))
    before_the_day = (_TODAY.month, _TODAY.day) < (moment.month, moment.day)
    text = moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return {"date": text, "age": _TODAY.year - moment.year - before_the_day}


def _picture(kind: str, number: int) -> dict[str, str]:
    return {
        "large": f"{_PORTRAITS}/{kind}/{number}.jpg",
        "medium": f"{_PORTRAITS}/med/{kind}/{number}.jpg",
        "thumbnail": f"{_PORTRAITS}/thumb/{kind}/{number}.jpg",
    }


def _one(chance: _Chance, choices: Sequence[_T]) -> _T:
    return choices[int(chance() * len(choices))]
