"""Spoiled answers, on request: what an API does on a bad day, one function each; `plan` strings them together.

A `Fault` turns the good reply into the one that is sent; a `Faults` plan says which request gets which fault. What a
`Reply` can express, a fault can do: any status and header, a body that ends early, a connection that is reset.
"""

import gzip
import json
import zlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from itertools import chain, repeat
from typing import Any

from penstock.simulator.people import answer, question


@dataclass(frozen=True)
class Reply:
    """One HTTP answer as it goes over the wire.

    `length` is what Content-Length announces; when fewer bytes than that are sent, the connection is closed after them.
    None announces nothing: the body ends with the connection.
    """

    status: int
    body: Iterable[bytes]
    length: int | None
    headers: Mapping[str, str] = field(default_factory=dict)
    reset: bool = False
    """End the connection with a TCP reset after the body instead of keeping it."""
    pause_s: float = 0
    """Before every piece of the body."""
    silent: bool = False
    """Send nothing at all and hold the connection until the client gives up, a minute at most."""


Fault = Callable[[Reply], Reply]
Faults = Callable[[int], Fault | None]
"""The fault for the request of this number, counted from 1; None answers it well."""


def no_faults(_request: int) -> Fault | None:
    """Every request is answered well."""
    return None


def first(*faults: Fault) -> Faults:
    """The first requests get these faults, one each; every later one is answered well."""
    return lambda request: faults[request - 1] if request <= len(faults) else None


def always(fault: Fault) -> Faults:
    """Every request gets this fault."""
    return lambda _request: fault


def whole(status: int, body: bytes, headers: Mapping[str, str]) -> Reply:
    """A reply that announces what it sends."""
    return Reply(status, (body,), len(body), headers)


def failing(status: int, **headers: str) -> Fault:
    """This status with an error in JSON; a header `Retry_After` is sent as `Retry-After`."""
    body = json.dumps({"error": f"the simulator was asked to answer {status}"}).encode()
    sent = {"Content-Type": "application/json"} | {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda _: whole(status, body, sent)


def limited_until_later(reply: Reply) -> Reply:
    """429 that asks for a second of patience as an HTTP date, which has no fractions: up to two seconds from now."""
    later = datetime.now(UTC) + timedelta(seconds=2)
    return failing(429, Retry_After=format_datetime(later, usegmt=True))(reply)


def moved(target: str) -> Fault:
    """A redirect to another place."""
    return failing(302, Location=target)


def silent(reply: Reply) -> Reply:
    """Not a byte until the client has waited long enough."""
    return replace(reply, silent=True)


def dripping(pieces: int, pause_s: float) -> Fault:
    """The good answer in this many pieces with a pause before each."""

    def drip(reply: Reply) -> Reply:
        body = b"".join(reply.body)
        size = -(-len(body) // pieces)
        return replace(reply, body=[body[at : at + size] for at in range(0, len(body), size)], pause_s=pause_s)

    return drip


def page_of_html(reply: Reply) -> Reply:
    """A proxy's page instead of the API's answer, with the API's status."""
    return whole(reply.status, b"<!DOCTYPE html><title>One moment</title>", {"Content-Type": "text/html"})


def cut_body(reply: Reply) -> Reply:
    """Half of the announced body, then the connection ends."""
    body = b"".join(reply.body)
    return replace(reply, body=(body[: len(body) // 2],))


def cut_json(reply: Reply) -> Reply:
    """Half of the body, announced as if it were all: only the JSON shows that something is missing."""
    body = b"".join(reply.body)
    return whole(reply.status, body[: len(body) // 2], reply.headers)


def reset(reply: Reply) -> Reply:
    """The connection is reset where the body should begin."""
    return replace(reply, body=(), reset=True)


def gzipped(reply: Reply) -> Reply:
    """The good answer, compressed."""
    body = gzip.compress(b"".join(reply.body), compresslevel=1, mtime=0)
    return whole(reply.status, body, {**reply.headers, "Content-Encoding": "gzip"})


_MEBIBYTE = 1024 * 1024


def huge(mebibytes: int, *, announced: bool) -> Fault:
    """A body of this size, of which the simulator itself never holds more than a piece."""
    length = mebibytes * _MEBIBYTE if announced else None
    return lambda reply: replace(reply, body=repeat(b" " * _MEBIBYTE, mebibytes), length=length)


def bomb(mebibytes: int) -> Fault:
    """The same, compressed about a thousandfold and announced as the little it is then."""
    packer = zlib.compressobj(9, wbits=16 + zlib.MAX_WBITS)
    begin = packer.compress(b"{") + packer.flush(zlib.Z_FULL_FLUSH)
    # After a full flush nothing refers back, so that one packed piece may be sent any number of times.
    piece = packer.compress(b" " * _MEBIBYTE) + packer.flush(zlib.Z_FULL_FLUSH)

    def explode(reply: Reply) -> Reply:
        length = len(begin) + mebibytes * len(piece)
        headers = {**reply.headers, "Content-Encoding": "gzip"}
        return replace(reply, body=chain([begin], repeat(piece, mebibytes)), length=length, headers=headers)

    return explode


def fewer_items(reply: Reply) -> Reply:
    """One person less than asked for, while `info` says what was asked."""
    return _changed(reply, lambda found: found["results"].pop())


def more_items(reply: Reply) -> Reply:
    """One person more than asked for: the first one once more."""
    return _changed(reply, lambda found: found["results"].append(found["results"][0]))


def no_items(reply: Reply) -> Reply:
    """`results` is empty, while `info` says what was asked."""
    return _changed(reply, lambda found: found["results"].clear())


def no_list(reply: Reply) -> Reply:
    """There is no `results` at all."""
    return _changed(reply, lambda found: found.pop("results"))


def page_before(reply: Reply) -> Reply:
    """The people of the page before under the `info` of this one: a bad cache, or two seeds of one hash."""

    def turn_back(found: Any) -> None:
        info = found["info"]
        asked = {"seed": info["seed"], "page": str(info["page"] - 1), "results": str(info["results"])}
        found["results"] = answer(question(asked))["results"]

    return _changed(reply, turn_back)


def bad_person(reply: Reply) -> Reply:
    """The last person has no e-mail address, which a user must have."""
    return _changed(reply, lambda found: found["results"][-1].update(email=None))


def wrong_echo(**info: Any) -> Fault:
    """The good answer with other values in `info`."""
    return lambda reply: _changed(reply, lambda found: found["info"].update(info))


def _changed(reply: Reply, change: Callable[[Any], object]) -> Reply:
    found = json.loads(b"".join(reply.body))
    change(found)
    return whole(reply.status, json.dumps(found).encode(), reply.headers)
