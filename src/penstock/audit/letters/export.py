"""Letters as lines of JSON that a person can edit, and such a file read again."""

import json
from base64 import b64decode, b64encode
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from penstock.audit.letters.index import Body, Correction, Letter
from penstock.errors import LetterError
from penstock.kafka import Received


def exported(letter: Letter, message: Received) -> dict[str, Any]:
    """Everything of one letter. Its bytes stand in `value` where they are UTF-8, else in `value_base64`."""
    return {
        "id": letter.id,
        "reason": letter.reason,
        "message": letter.message,
        "run": letter.run,
        "origin": letter.origin,
        "first_seen": letter.first_seen,
        "resolved_by": letter.resolved_by,
        "rejected_again": letter.rejected_again,
        "headers": dict(message.headers),
        **_value(message.value),
    }


def export(bodies: Iterable[Body], file: Path) -> int:
    """Writes one line a letter to a new file and returns their number.

    Raises:
        LetterError: the file is there already, for somebody's corrections may be in it, or cannot be written.
    """
    count = 0
    try:
        with file.open("x", encoding="utf-8", newline="\n") as lines:
            for letter, message, _ in bodies:
                lines.write(json.dumps(exported(letter, message), ensure_ascii=False) + "\n")
                count += 1
    except OSError as error:
        raise LetterError(f"{file} cannot be written: {error}. Nothing that exists is replaced.") from error
    except BaseException:
        file.unlink()  # half of an export looks like a whole one
        raise
    return count


def corrections(file: Path) -> Iterator[Correction]:
    """The lines of a file that `exported` wrote and somebody edited: of each only the id and the value count.

    Raises:
        LetterError: a line cannot be understood; says which and why.
    """
    try:
        with file.open("rb") as lines:
            for number, line in enumerate(lines, start=1):
                if line.strip():
                    yield _correction(f"{file}, line {number}", line)
    except OSError as error:
        raise LetterError(
            f"{file} cannot be read: {error}. `penstock dead-letters export` writes such a file."
        ) from error


def _value(value: bytes | None) -> dict[str, str | None]:
    try:
        return {"value": None if value is None else value.decode()}
    except UnicodeDecodeError:
        return {"value_base64": b64encode(value or b"").decode()}


def _correction(place: str, line: bytes) -> Correction:
    try:
        parsed = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise LetterError(f"{place} is not JSON: {error}. Nothing of the file was replayed.") from error
    try:
        return Correction(place, str(parsed["id"]), _bytes(parsed))
    except (TypeError, KeyError, ValueError) as error:
        raise LetterError(
            f"{place} is no dead letter: that is an object with `id` and either `value` (text or null) or "
            f"`value_base64` ({error!r}). Nothing of the file was replayed."
        ) from error


def _bytes(parsed: dict[str, Any]) -> bytes | None:
    if ("value" in parsed) == ("value_base64" in parsed):
        raise KeyError("value")
    if "value_base64" in parsed:
        return b64decode(parsed["value_base64"], validate=True)
    value = parsed["value"]
    if value is not None and not isinstance(value, str):
        raise TypeError(f"value is {type(value).__name__}")
    return None if value is None else value.encode()
