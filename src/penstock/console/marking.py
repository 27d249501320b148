"""The bytes of a letter as a page may show them, with the faulty place marked."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass

from penstock.pipelines.record import Reason

SHOWN = 64 * 1024
"""Characters of a value that are shown."""
_PARTS = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\]:,]|[^\s{}\[\]:,"]+', re.DOTALL)
_ORIGIN = re.compile(r"\(from '([^']*)' of the API's answer\)$")


@dataclass(frozen=True)
class Piece:
    """Text that is shown; `kind` is empty, `mark` for the faulty place, or `odd` for what has no glyph of its own."""

    text: str
    kind: str = ""


def pieces(value: bytes | None, reason: str, message: str) -> list[Piece]:
    """All that is shown; what is not UTF-8 is written as `\\xNN`, what steers a terminal or a line as `\\uNNNN`."""
    if value is None:
        return []
    text = value.decode("utf-8", "surrogateescape")
    begin, end = _faulty(text, value, reason, message)
    shown = text[:SHOWN]
    parts = [(shown[:begin], ""), (shown[begin:end], "mark"), (shown[end:], "")]
    found = [piece for part, kind in parts if part for piece in _visible(part, kind)]
    return [*found, *([Piece("…")] if len(text) > SHOWN else [])]


def editable(value: bytes | None) -> str:
    """The value as a person corrects it: JSON with a line for each member, else as it is, with escapes."""
    text = (value or b"").decode("utf-8", "replace")
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        pass
    else:
        text = _spread(text)
    return "".join(each if each.isprintable() or each in "\n\t" else json.dumps(each)[1:-1] for each in text)


def _spread(json_text: str) -> str:
    """The same JSON, in which only the space between its parts is another one."""
    found: list[str] = []
    depth, before = 0, ""
    for match in _PARTS.finditer(json_text):
        part = match[0]
        if part in "}]":
            depth -= 1
        if (before in ("{", "[") and part not in "}]") or before == "," or (part in "}]" and before not in ("{", "[")):
            found.append("\n" + "  " * depth)
        found.append(": " if part == ":" else part)
        if part in "{[":
            depth += 1
        before = part
    return "".join(found)


def _faulty(text: str, value: bytes, reason: str, message: str) -> tuple[int, int]:
    """Where the faulty place begins and ends; twice the same where there is none to point at."""
    if reason == Reason.NOT_UTF8:
        first = next((place for place, letter in enumerate(text) if _is_escaped(letter)), 0)
        return first, first + 1
    if reason == Reason.MALFORMED_JSON:
        return _malformed(text)
    path = _path(message)
    if path:
        found = next(((begin, end) for at, begin, end in _values(text) if at == path), None)
        if found:
            return found
    return 0, 0


def _malformed(text: str) -> tuple[int, int]:
    try:
        json.loads(text)
    except json.JSONDecodeError as error:
        return error.pos, min(len(text), error.pos + 1) if error.pos < len(text) else error.pos
    except (ValueError, RecursionError):
        pass
    return 0, 0


def _path(message: str) -> tuple[str, ...]:
    """Of the field that the message names: in the API's item where it says so, else in the record."""
    origin = _ORIGIN.search(message)
    if origin:
        return tuple(origin[1].strip("{}").split("}")[0].split("."))
    name, colon, _ = message.partition(":")
    return tuple(name.split(".")) if colon and re.fullmatch(r"[\w.]+", name) else ()


def _values(text: str) -> Iterator[tuple[tuple[str, ...], int, int]]:
    """Path, beginning and end of each member's value, as far as the text is JSON; only of objects within objects."""
    stack: list[tuple[str, int]] = []
    key, expects_key, begin, end = "", False, 0, 0
    kinds: list[str] = []
    for match in _PARTS.finditer(text[:SHOWN]):
        part = match[0]
        if part in "{[":
            stack.append((key, match.start()))
            kinds.append(part)
            expects_key, begin = part == "{", match.end()
        elif part in "}]" and stack:
            if kinds.pop() == "{" and key and begin < end:
                yield (*(name for name, _ in stack[1:]), key), begin, end
            key, opened = stack.pop()
            begin, end, expects_key = opened, match.end(), False
        elif part == "," and kinds and kinds[-1] == "{":
            if key and begin < end:
                yield (*(name for name, _ in stack[1:]), key), begin, end
            expects_key, key = True, ""
        elif part == ":" and kinds and kinds[-1] == "{":
            begin, end = match.end(), match.end()
        elif expects_key and part.startswith('"'):
            key, expects_key = part[1:-1], False
        else:
            if end <= begin:
                begin = match.start()
            end = match.end()


def _visible(text: str, kind: str) -> Iterator[Piece]:
    """With escapes for whatever has no glyph of its own, bidi controls among it."""
    plain: list[str] = []
    for letter in text:
        if letter.isprintable() or letter in "\n\t":
            plain.append(letter)
            continue
        if plain:
            yield Piece("".join(plain), kind)
            plain.clear()
        code = ord(letter)
        written = f"\\x{code - 0xDC00:02x}" if _is_escaped(letter) else f"\\u{code:04x}"
        yield Piece(written, f"{kind} odd".strip())
    if plain:
        yield Piece("".join(plain), kind)


def _is_escaped(letter: str) -> bool:
    """Whether it stands for a byte that is not UTF-8 (PEP 383)."""
    return "\udc80" <= letter <= "\udcff"
