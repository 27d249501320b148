"""The bytes of an answer: decoded within a limit, and parsed."""

import json
import zlib
from collections.abc import Callable
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
    """What parses the body: as NDJSON where it was declared or the answer says so, else as JSON.

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
