"""Messages that somebody wrote in bad faith or by accident: a corpus from a seed, with what must become of each."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any
from uuid import UUID

from penstock.kafka import Received
from penstock.pipelines.contract import Pipeline
from penstock.pipelines.record import DEEPEST_NESTING, LARGEST_VALUE_BYTES, NO_TIMESTAMP_MS, Header, Reason, Rejected

FIELDS = ("id", "first_name", "last_name", "gender", "address", "post_code", "email", "username", "phone", "picture")
REQUIRED = ("id", "first_name", "last_name", "email", "username")
LOG_APPEND_TIME = 1
TEXTS = (
    "علی رضا",
    "Łódź",
    "Ирина",
    "नमस्ते 你好 😀",
    "a\x00b",
    "\u2028\ufeff\uffff\x7f",
    '"\\/\b\f\n\r\t',
    "x" * 3_000,
    " ",
)


@dataclass(frozen=True)
class Hostile:
    """A message and why it is rejected; a `reason` of None says that it becomes a row.

    `timestamp_ms` None is the moment of the test, `timestamp_type` is Kafka's: 1 where the broker set it.
    """

    kind: str
    value: bytes | None
    reason: Reason | None
    headers: Mapping[str, bytes] = field(default_factory=dict)
    timestamp_ms: int | None = None
    timestamp_type: int = 0

    def judged(self, pipeline: Pipeline) -> Reason | None:
        """Python's verdict, as the broker's readers come to it."""
        headers = {name: text.decode("utf-8", "backslashreplace") for name, text in self.headers.items()}
        at_ms = 0 if self.timestamp_ms is None else self.timestamp_ms
        is_brokers = self.timestamp_type == LOG_APPEND_TIME
        answer = Received("t", 1, 0, None, self.value, headers, at_ms, is_brokers_time=is_brokers).judged(pipeline)
        return answer.reason if isinstance(answer, Rejected) else None


def corpus(seed: int, count: int) -> Iterator[Hostile]:
    """`count` messages, of every kind in turn."""
    chance = Random(seed)
    kinds = list(KINDS.items())
    for number in range(count):
        name, make = kinds[number % len(kinds)]
        yield make(name, chance)


def user(chance: Random) -> dict[str, Any]:
    """A good user of an id of their own."""
    some = {name: chance.choice(TEXTS) for name in FIELDS if name in REQUIRED or chance.random() < 0.5}
    return {**some, "id": str(UUID(int=chance.getrandbits(128)))}


def encoded(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


Kind = Callable[[str, Random], Hostile]


def _kind(make: Callable[[Random], bytes | None], reason: Reason | None) -> Kind:
    return lambda name, chance: Hostile(name, make(chance), reason)


def _changed(reason: Reason, change: Callable[[Random, dict[str, Any]], object]) -> Kind:
    def make(chance: Random) -> bytes:
        fields = user(chance)
        change(chance, fields)
        return encoded(fields)

    return _kind(make, reason)


def _beside(raw: Callable[[Random], bytes], reason: Reason) -> Kind:
    """A good user with one more field, `x`, whose JSON is given."""
    return _kind(lambda chance: encoded(user(chance))[:-1] + b',"x":' + raw(chance) + b"}", reason)


def _spliced(chance: Random, raw: bytes) -> bytes:
    """A good user with these bytes at the beginning of the user name."""
    return encoded({**user(chance), "username": "@@@"}).replace(b"@@@", raw)


def _spoiled(chance: Random) -> bytes:
    value = encoded(user(chance))
    at = chance.randrange(len(value))
    return value[:at] + chance.choice((b"\xff", b"\xc0\xaf", b"\xed\xa0\x80", b"\xf5\x80\x80\x80")) + value[at:]


def _twice(chance: Random) -> bytes:
    value = encoded(user(chance))
    return value[:-1] + b',"email":"twice@example.com"}'


def _of_version(version: bytes, reason: Reason | None) -> Kind:
    return lambda name, chance: Hostile(name, encoded(user(chance)), reason, {Header.VERSION: version})


def _timed(headers: Mapping[str, bytes], reason: Reason | None) -> Kind:
    return lambda name, chance: Hostile(name, encoded(user(chance)), reason, headers, timestamp_type=LOG_APPEND_TIME)


def _nested(depth: int, begin: bytes, end: bytes) -> bytes:
    return begin * depth + b"0" + end * depth


# A good user around `x` is one level of its own.
_DEEP = DEEPEST_NESTING - 1
_WORDS: Sequence[Any] = (5, 1.5, True, None, [], ["x"], {}, {"a": 1})

KINDS: Mapping[str, Kind] = {
    "good": _kind(lambda chance: encoded(user(chance)), None),
    "good, spaced and escaped": _kind(lambda chance: json.dumps(user(chance), indent=1).encode(), None),
    "good, of version 1": _of_version(b"1", None),
    "good, of an empty version": _of_version(b"", None),
    "good, of the broker's time and its own": _timed({Header.WRITE_TIME_MS: b"1741789800123"}, None),
    "broker's time": _timed({}, Reason.UNKNOWN_TIME),
    "broker's time, and none that can be read": _timed({Header.WRITE_TIME_MS: b"-1"}, Reason.UNKNOWN_TIME),
    "broker's time, of an unknown version": _timed({Header.VERSION: b"2"}, Reason.UNKNOWN_TIME),
    "no time": lambda name, chance: Hostile(name, None, Reason.UNKNOWN_TIME, timestamp_ms=NO_TIMESTAMP_MS),
    "no time, but a header": lambda name, chance: Hostile(
        name, encoded(user(chance)), Reason.UNKNOWN_TIME, {Header.WRITE_TIME_MS: b"1"}, timestamp_ms=NO_TIMESTAMP_MS
    ),
    "version 2": _of_version(b"2", Reason.UNKNOWN_VERSION),
    "version of words": _of_version(b"latest", Reason.UNKNOWN_VERSION),
    "version that is not UTF-8": _of_version(b"\xff1", Reason.UNKNOWN_VERSION),
    "huge version": _of_version(b"9" * 5_000, Reason.UNKNOWN_VERSION),
    "no value": _kind(lambda _: None, Reason.NO_VALUE),
    "nothing": _kind(lambda _: b"", Reason.MALFORMED_JSON),
    "random bytes": _kind(lambda chance: b"\xff" + chance.randbytes(chance.randrange(200)), Reason.NOT_UTF8),
    "bad UTF-8": _kind(_spoiled, Reason.NOT_UTF8),
    "cut": _kind(lambda chance: json.dumps(user(chance)).encode()[: chance.randrange(1, 80)], Reason.MALFORMED_JSON),
    "two values": _kind(lambda chance: encoded(user(chance)) * 2, Reason.MALFORMED_JSON),
    "NaN": _beside(lambda _: b"NaN", Reason.MALFORMED_JSON),
    "key twice": _kind(_twice, Reason.MALFORMED_JSON),
    "key twice within": _beside(lambda _: b'{"a":1,"\\u0061":2}', Reason.MALFORMED_JSON),
    "lone surrogate": _kind(lambda chance: _spliced(chance, b"\\ud800"), Reason.MALFORMED_JSON),
    "lone surrogate within": _beside(lambda _: b'["\\udfff"]', Reason.MALFORMED_JSON),
    "raw NUL": _kind(lambda chance: _spliced(chance, b"\x00"), Reason.MALFORMED_JSON),
    "as deep as may be": _beside(lambda _: _nested(_DEEP, b"[", b"]"), Reason.UNKNOWN_FIELD),
    "too deep": _beside(lambda _: _nested(_DEEP + 1, b"[", b"]"), Reason.MALFORMED_JSON),
    "deep": _beside(lambda chance: _nested(chance.randrange(101, 3_000), b'{"a":', b"}"), Reason.MALFORMED_JSON),
    "number of 1,001 digits": _beside(lambda _: b"9" * 1_001, Reason.MALFORMED_JSON),
    "number of 1,000 digits": _beside(lambda _: b"9" * 1_000, Reason.UNKNOWN_FIELD),
    "long name": _kind(lambda chance: encoded({**user(chance), "n" * 50_001: 1}), Reason.MALFORMED_JSON),
    "no object": _kind(lambda chance: encoded(chance.choice(_WORDS[:6])), Reason.NOT_AN_OBJECT),
    "field missing": _changed(Reason.MISSING_FIELD, lambda chance, fields: fields.pop(chance.choice(REQUIRED))),
    "field unknown": _changed(Reason.UNKNOWN_FIELD, lambda chance, fields: fields.update(dob=chance.choice(_WORDS))),
    "wrong type": _changed(
        Reason.WRONG_TYPE, lambda chance, fields: fields.update({chance.choice(REQUIRED[1:]): chance.choice(_WORDS)})
    ),
    "null for required": _changed(Reason.WRONG_TYPE, lambda chance, fields: fields.update(email=None)),
    "bad UUID": _changed(
        Reason.INVALID_VALUE, lambda chance, fields: fields.update(id=fields["id"][: chance.randrange(36)])
    ),
    "UUID of another form": _changed(Reason.INVALID_VALUE, lambda _, fields: fields.update(id=f"{{{fields['id']}}}")),
    "empty text": _changed(Reason.INVALID_VALUE, lambda _, fields: fields.update(username="")),
}

TOO_LARGE = b" " * (LARGEST_VALUE_BYTES + 1)
