"""The bytes of an answer: decoded within a limit, and parsed."""

import json
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

ASKED_ENCODING = "gzip"
_NDJSON = frozenset({"application/x-ndjson", "application/ndjson", "application/jsonl", "application/x-jsonlines"})


class UndecodableError(Exception):
    """The bytes are not what the answer's headers say; the text says which."""


class Decoder:
    """Decodes chunk by chunk, each to at most the given number of bytes, so that a limit also holds inside of a chunk.

    Raises:
        ValueError: an encoding that was not asked for.
    """

    def __init__(self, encoding: str) -> None:
        if encoding not in ("identity", ASKED_ENCODING):
            raise ValueError(encoding)
        self._inflate = zlib.decompressobj(wbits=_GZIP) if encoding == ASKED_ENCODING else None

    def decode(self, chunk: bytes, most: int) -> bytes:
        if self._inflate is None:
            return chunk[:most]
        body = bytearray()
        try:
            while chunk and len(body) < most:
                if self._inflate.eof:  # one member ended, and another one follows
                    self._inflate = zlib.decompressobj(wbits=_GZIP)
                body += self._inflate.decompress(chunk, most - len(body))
                chunk = self._inflate.unused_data
        except zlib.error as error:
            raise UndecodableError(f"its gzip cannot be read: {error}") from error
        return bytes(body)

    def finish(self) -> None:
        """Raises where the end is missing."""
        if self._inflate is not None and not self._inflate.eof:
            raise UndecodableError("its gzip cannot be read: the end is missing")


_GZIP = 16 + zlib.MAX_WBITS


def reader(content_type: str, *, ndjson: bool) -> Callable[[bytes], Any]:
    """The function that parses the body: as NDJSON where it was declared or the answer says so, else as JSON.

    It raises ValueError, whose text shows no value, or RecursionError.
    """
    return _lines if ndjson or content_type.partition(";")[0].strip().lower() in _NDJSON else _document


class _AsWritten(float):
    """A number with a fraction or an exponent, whose `repr` is what stands in the body: a `Decimal` loses no digit."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def __repr__(self) -> str:
        return self._text


def json_text(value: Any, *, ensure_ascii: bool = False) -> str:
    """Compact JSON of what a `reader` read, each number as it stood in the body; `json.dumps` writes it as a double.

    Does not descend into itself: what could be read can be written, however deep.
    """
    write, pieces, left = json.JSONEncoder(ensure_ascii=ensure_ascii).encode, list[str](), [value]
    while left:
        part = left.pop()
        if isinstance(part, _Piece):
            pieces.append(part.text)
        elif isinstance(part, Mapping):
            names = ((_Piece(f"{write(str(name))}:"), each) for name, each in part.items())
            left += reversed(_around("{", list(names), "}"))
        elif isinstance(part, (list, tuple)):
            left += reversed(_around("[", [(each,) for each in part], "]"))
        else:
            pieces.append(repr(part) if isinstance(part, _AsWritten) else write(part))
    return "".join(pieces)


@dataclass(frozen=True)
class _Piece:
    """Text that is JSON already."""

    text: str


def _around(begin: str, groups: Sequence[tuple[Any, ...]], end: str) -> list[Any]:
    comma = _Piece(",")
    parts = [part for group in groups for part in (comma, *group)]
    return [_Piece(begin), *parts[1:], _Piece(end)]


def _document(body: bytes) -> Any:
    return _parsed(body.decode("utf-8-sig"))


def _parsed(text: str) -> Any:
    return json.loads(text, parse_float=_AsWritten, parse_constant=_refuse_constant)


def _lines(body: bytes) -> list[Any]:
    # Not splitlines: text within JSON may hold other characters that end a line in Unicode.
    found = []
    for number, line in enumerate(body.decode("utf-8-sig").split("\n"), start=1):
        if line.strip():
            try:
                found.append(_parsed(line))
            except ValueError as error:
                raise ValueError(f"line {number}: {error}") from None
    return found


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")
