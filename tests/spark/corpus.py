"""Values of Kafka messages, good and hostile ones, of the users and of a record with every type."""

import json
from collections.abc import Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Annotated, Any
from uuid import UUID

from penstock.pipelines.contract import From, Record, Text
from penstock.pipelines.types import Int32, IPAddress, JsonText
from penstock.users import USERS

KAFKA = (
    "key binary, value binary, topic string, partition int, offset long, timestamp timestamp, timestampType int, "
    "headers array<struct<key: string, value: binary>>"
)


SENT = datetime(2025, 3, 12, 14, 30, 0, 123000, tzinfo=UTC)


USER = {
    "id": "9b1deb4d-3b7d-4bad-9bdd-2b0d7b3dcb6d",
    "first_name": "علی",
    "last_name": "Öztürk",
    "email": "ali@example.com",
    "username": "ali1",
}


class Reading(Record):
    """A record with every type that a declaration may have."""

    sensor: Annotated[UUID, From("sensor")]
    name: Annotated[Text | None, From("name")] = None
    count: Annotated[int | None, From("count")] = None
    level: Annotated[float | None, From("level")] = None
    valid: Annotated[bool | None, From("valid")] = None
    at: Annotated[datetime | None, From("at")] = None
    small: Annotated[Int32 | None, From("small")] = None
    price: Annotated[Decimal | None, From("price")] = None
    day: Annotated[date | None, From("day")] = None
    host: Annotated[IPAddress | None, From("host")] = None
    raw: Annotated[bytes | None, From("raw")] = None
    steps: Annotated[list[str] | None, From("steps")] = None
    tags: Annotated[set[str] | None, From("tags")] = None
    labels: Annotated[dict[str, str] | None, From("labels")] = None
    shape: Annotated[JsonText | None, From("shape")] = None


READINGS = USERS.model_copy(update={"name": "readings", "record": Reading, "key": "sensor", "version": 3})


READING = {
    "sensor": "9b1deb4d-3b7d-4bad-9bdd-2b0d7b3dcb6d",
    "name": "n",
    "count": -9_223_372_036_854_775_808,
    "level": 0.1,
    "valid": True,
    "at": "2025-03-12T14:30:00.123456Z",
    "small": -2_147_483_648,
    "price": "12.50",
    "day": "2025-03-12",
    "host": "2001:db8::1",
    "raw": "_-8=",
    "steps": ["b", "", "a"],
    "tags": ["علی", "x"],
    "labels": {"b": "1", "": "2"},
    "shape": '{"type":"Point","at":[1,2.5]}',
}


def encoded(fields: Mapping[str, Any]) -> bytes:
    return json.dumps(fields, ensure_ascii=False, separators=(",", ":")).encode()


def without(name: str) -> dict[str, Any]:
    return {key: value for key, value in USER.items() if key != name}


_USER = encoded(USER)


_DEEP = b'{"id":' + b"[" * 5_000 + b"]" * 5_000 + b"}"

HOSTILE: dict[str, bytes | None] = {
    "good": _USER,
    "spaces around": b" \r\n\t" + _USER + b"\n ",
    "every script": encoded({**USER, "first_name": "नमस्ते 你好 😀 \u200f"}),
    "escaped": json.dumps({**USER, "first_name": "😀\x01\x7f\u2028"}).encode(),
    "escaped slash": _USER.replace(b"ali1", b"a\\/b"),
    "escaped key": _USER.replace(b'"id"', b'"\\u0069d"'),
    "upper-case UUID": encoded({**USER, "id": USER["id"].upper()}),
    "escaped NUL": encoded({**USER, "email": "a\x00b"}),
    "null": None,
    "empty": b"",
    "only spaces": b"  ",
    "two objects": _USER + _USER,
    "two lines": _USER + b"\n" + _USER,
    "a brace too many": _USER + b"}",
    "trailing comma after": _USER + b",",
    "a field after": _USER + b', "x": 1',
    "a list's end after": _USER + b"], [1",
    "a number after": _USER + b", 1",
    "a number and a list's end after": _USER + b", 1] ",
    "NUL after": _USER + b"\x00",
    "array around": b"[" + _USER + b"]",
    "text around": json.dumps(_USER.decode()).encode(),
    "number": b"5",
    "JSON null": b"null",
    "empty object": b"{}",
    "same key twice": _USER[:-1] + b',"id":"x"}',
    "same key twice, escaped": _USER[:-1] + b',"\\u0069d":"x"}',
    "same key twice, equal": _USER[:-1] + b',"email":"ali@example.com"}',
    "NaN": _USER[:-1] + b',"phone":NaN}',
    "Infinity": _USER[:-1] + b',"phone":-Infinity}',
    "single quotes": _USER.replace(b'"', b"'"),
    "bare key": _USER.replace(b'"id"', b"id"),
    "comment": _USER[:-1] + b"/**/}",
    "trailing comma": _USER[:-1] + b",}",
    "raw control character": _USER.replace(b"ali1", b"a\x01"),
    "raw NUL": _USER.replace(b"ali1", b"a\x00"),
    "bad escape": _USER.replace(b"ali1", b"\\x"),
    "lone surrogate": _USER.replace(b"ali1", b"\\ud800"),
    "reversed surrogates": _USER.replace(b"ali1", b"\\udc00\\ud800"),
    "raw surrogate": _USER.replace(b"ali1", b"\xed\xa0\x80"),
    "overlong": _USER.replace(b"ali1", b"\xc0\xaf"),
    "cut character": _USER[: _USER.index("علی".encode()) + 1],
    "UTF-16": _USER.decode().encode("utf-16"),
    "byte order mark": b"\xef\xbb\xbf" + _USER,
    "no-break space": b"\xc2\xa0" + _USER,
    "leading zero": _USER[:-1] + b',"phone":01}',
    "deep": _DEEP,
    "as large as may be": encoded({**USER, "address": ""}).replace(b'""', b'"%s"' % (b"x" * (2**22 - len(_USER) - 13))),
    "ten megabytes": encoded({**USER, "address": "x" * 10_000_000}),
    "ten megabytes of nothing": b" " * 10_000_000,
    "ten megabytes of a number": _USER[:-1] + b',"phone":' + b"9" * 900 + b"}",
    "many fields": encoded({**USER, **{f"k{n}": n for n in range(2_000)}}),
    "empty name": encoded({**USER, "": 1}),
    "name like a schema": encoded({**USER, "a: STRING, b": 1}),
    "name in other case": encoded({**without("id"), "ID": USER["id"]}),
    "number for text": encoded({**USER, "phone": 5}),
    "true for text": encoded({**USER, "phone": True}),
    "list for text": encoded({**USER, "phone": ["x"]}),
    "first defect counts": encoded({**USER, "first_name": "", "email": 5, "dob": 1}),
    "missing before unknown": encoded({**without("username"), "dob": 1}),
    "UUID without dashes": encoded({**USER, "id": USER["id"].replace("-", "")}),
    "UUID in braces": encoded({**USER, "id": "{" + USER["id"] + "}"}),
    "UUID and a line": encoded({**USER, "id": USER["id"] + "\n"}),
    "UUID with other digits": encoded({**USER, "id": "٩" + USER["id"][1:]}),
}


def _reading(**changes: Any) -> bytes:
    return encoded({**READING, **changes})


def _raw_reading(name: str, text: bytes) -> bytes:
    return encoded({key: value for key, value in READING.items() if key != name})[:-1] + b',"%s":%s}' % (
        name.encode(),
        text,
    )


_NEW = ("small", "price", "day", "host", "raw", "steps", "tags", "labels", "shape")
_ANY = (
    *(
        '"x"',
        '""',
        '" "',
        '"5"',
        "5",
        "-0",
        "1.0",
        "1.5",
        "1e3",
        "true",
        "null",
        "[]",
        "{}",
        "[1]",
        '["a"]',
        '["a", "b"]',
    ),
    *('["a",null]', "[null]", '["a",1]', '["a",["b"]]', "[[]]", '{"a":1}', '{"a":"1"}', '{"a": "1"}', '{"a":null}'),
    *('{"a":["b"]}', '{"a":"1","b":null}', '{"a":{"b":"c"}}', "[" * 90 + "]" * 90, '"\\u0031"', '"1\\n"', "[NaN]"),
)
_PRICES = (
    *("0", "-0", "1", "-1.5", "0.1", "00", "01", "1.", ".5", "+1", "1e5", "1E5", "1E+5", "1.5E-7", "1E-999", "1E+1000"),
    *(
        "NaN",
        "Infinity",
        "1_0",
        " 1",
        "1 ",
        "1,5",
        "0x1",
        "٥",
        "9" * 100,
        "9" * 101,
        "0." + "9" * 100,
        "0." + "9" * 101,
    ),
)
_DAYS = (
    *("2024-02-29", "2025-02-29", "0001-01-01", "0000-01-01", "9999-12-31", "1582-10-10", "1500-02-29", "2025-3-12"),
    *("2025-03-12T00:00:00Z", "2025-03-12 ", "20250312", "2025-13-01", "2025-00-10", "today", "epoch", "+2025-03-12"),
)
_HOSTS = (
    *(
        "1.2.3.4",
        "255.255.255.255",
        "256.1.1.1",
        "01.2.3.4",
        "1.2.3",
        "1.2.3.4.5",
        "1.2.3.4/8",
        "localhost",
        "::",
        "::1",
    ),
    *("1::", "1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7", "1:2:3:4:5:6:7:8:9", "1::8", "1:2::7:8", "1::3::8", "1:2:3:4:5:6:7::"),
    *("::2:3:4:5:6:7:8", "::ffff:1.2.3.4", "::ffff:102:304", "0::ffff:102:304", "::ffff:0:102:304", "fe80::1%eth0"),
    *(
        "ABCD::",
        "12345::",
        "::g",
        ":::",
        ":1",
        "1:",
        "[::1]",
        "0:0:0:0:0:ffff:102:304",
        "::1:2:3:4:5:6:7:8",
        "1:2:3::5:6:7:8",
    ),
)
_BASE64 = (
    "/+8=",
    "_-8",
    "_-9=",
    "=",
    "====",
    "A",
    "AA",
    "AA==",
    "AB==",
    "AAA=",
    "AAB=",
    "AAAA",
    "AAAA====",
    "AA==AA==",
    "é",
    "AA\n==",
)

HOSTILE_TYPES: dict[str, bytes] = {
    "good": _reading(),
    "largest integer": _reading(count=2**63 - 1),
    "beyond 64 bits": _reading(count=2**63),
    "far beyond 64 bits": _reading(count=10**37),
    "text for integer": _reading(count="5"),
    "true for integer": _reading(count=True),
    "half for integer": _reading(count=1.5),
    "whole double for integer": _raw_reading("count", b"1.0"),
    "minus zero": _raw_reading("count", b"-0"),
    "integer for double": _raw_reading("level", b"7"),
    "exponent for double": _raw_reading("level", b"1.5E-7"),
    "long double": _raw_reading("level", b"0.1234567890123456789012345678901234567890"),
    "smallest double": _raw_reading("level", b"4.9e-324"),
    "long integer for double": _raw_reading("level", b"9" * 60),
    "too large for double": _raw_reading("level", b"1e999"),
    "NaN for double": _raw_reading("level", b"NaN"),
    "NaN in quotes": _reading(level="NaN"),
    "Infinity in quotes": _reading(level="Infinity"),
    "text for double": _reading(level="0.5"),
    "1 for true": _reading(valid=1),
    "text for true": _reading(valid="true"),
    "time with offset": _reading(at="2025-03-12T14:30:00+05:30"),
    "time without zone": _reading(at="2025-03-12T14:30:00"),
    "time of day 25": _reading(at="2025-03-12T25:30:00Z"),
    "time and a line": _reading(at="2025-03-12T14:30:00Z\n"),
    "time with other digits": _reading(at="2025-03-12T14:30:0٩Z"),
    "time with nanoseconds": _reading(at="2025-03-12T14:30:00.123456789Z"),
    "time with a space": _reading(at="2025-03-12 14:30:00Z"),
    "time in small letters": _reading(at="2025-03-12t14:30:00z"),
    "time without seconds": _reading(at="2025-03-12T14:30Z"),
    "leap second": _reading(at="2016-12-31T23:59:60Z"),
    "hour 24": _reading(at="2025-03-12T24:00:00Z"),
    "offset of 24 hours": _reading(at="2025-03-12T14:30:00+24:00"),
    "year 0": _reading(at="0000-01-01T00:00:00Z"),
    "30 February": _reading(at="2025-02-30T00:00:00Z"),
    "date only": _reading(at="2025-03-12"),
    "number for time": _reading(at=1_741_789_800),
    "words for time": _reading(at="yesterday"),
    "year 1": _reading(at="0001-01-01T00:00:00Z"),
    "empty text": _reading(name=""),
    "only what is required": encoded({"sensor": READING["sensor"]}),
    "whole decimal beyond 64 bits": _raw_reading("count", b"1" + b"0" * 30 + b".00"),
    "beyond every decimal": _reading(count=10**45),
    **{f"{name} of {text}": _raw_reading(name, text.encode()) for name in _NEW for text in _ANY},
    **{f"small of {number}": _reading(small=number) for number in (2**31 - 1, 2**31, -(2**31) - 1, 2**63)},
    **{f"price of {text}": _reading(price=text) for text in _PRICES},
    **{f"day of {text}": _reading(day=text) for text in _DAYS},
    **{f"host of {text}": _reading(host=text) for text in _HOSTS},
    **{f"raw of {text}": _reading(raw=text) for text in _BASE64},
    "raw, long": _reading(raw="_-8_" * 1_000_000),
    "twice in a set": _reading(tags=["x", "x"]),
    "name twice in a map": _raw_reading("labels", b'{"a":"1","a":"2"}'),
    "name twice in a map, escaped": _raw_reading("labels", b'{"a":"1","\\u0061":"2"}'),
    "name twice in a map, spaced": _raw_reading("labels", b'{"a":"1", "a":"1"}'),
    "names like a schema in a map": _reading(labels={"a: STRING, b": "1", "\n": "`", "'": '"', "x>": ">"}),
    "names in other case in a map": _reading(labels={"a": "1", "A": "2"}),
    "many in a map": _reading(labels={str(number): "x" for number in range(2_000)}),
    "many in a list": _reading(steps=["x" * 100] * 2_000),
    "lone surrogate in a list": _raw_reading("steps", b'["\\ud800"]'),
    "NUL in a list": _reading(steps=["a\x00b"]),
    "UUID without dashes and a field missing": encoded({"sensor": READING["sensor"].replace("-", ""), "name": 5}),
}
