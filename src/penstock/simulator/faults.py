"""Spoiled answers, on request: what an API does on a bad day, one function each.

A `Fault` turns the good reply into the one that is sent; a `Faults` plan says which request gets which fault. What a
`Reply` can express, a fault can do: any status and header, a body that ends early, a connection that is reset.
"""

import gzip
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any


@dataclass(frozen=True)
class Reply:
    """One HTTP answer as it goes over the wire.

    `length` is what Content-Length announces; when fewer bytes than that are sent, the connection is closed after them.
    """

    status: int
    body: Iterable[bytes]
    length: int
    headers: Mapping[str, str] = field(default_factory=dict)
    reset: bool = False
    """End the connection with a TCP reset after the body instead of keeping it."""


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


def fewer_items(reply: Reply) -> Reply:
    """One person less than asked for, while `info` says what was asked."""
    return _changed(reply, lambda answer: answer["results"].pop())


def wrong_echo(**info: Any) -> Fault:
    """The good answer with other values in `info`."""
    return lambda reply: _changed(reply, lambda answer: answer["info"].update(info))


def _changed(reply: Reply, change: Callable[[Any], object]) -> Reply:
    answer = json.loads(b"".join(reply.body))
    change(answer)
    return whole(reply.status, json.dumps(answer).encode(), reply.headers)
