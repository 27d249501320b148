"""Asking a server over HTTP whether it is ready, with nothing that the supervisor would have to carry."""

import http.client
import json
from typing import Any

from penstock.services.spec import NotReady

HOST = "127.0.0.1"
_LIMIT_S = 3


def json_answer(port: int, path: str) -> Any:
    """What `GET path` on 127.0.0.1 answers.

    Raises:
        NotReady: no answer within 3 s, or one that is not 200 with JSON.
    """
    connection = http.client.HTTPConnection(HOST, port, timeout=_LIMIT_S)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        body = response.read()
    except (OSError, http.client.HTTPException) as error:
        raise NotReady(f"GET {path} on port {port}: {type(error).__name__}: {error}") from error
    finally:
        connection.close()
    if response.status != http.HTTPStatus.OK:
        raise NotReady(f"GET {path} on port {port} answered {response.status} {response.reason}")
    try:
        return json.loads(body)
    except ValueError as error:
        raise NotReady(f"GET {path} on port {port} answered {len(body)} bytes that are not JSON") from error
