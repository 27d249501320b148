"""Asking a server over HTTP whether it is ready, with nothing that the supervisor would have to carry."""

import http.client
import json
from typing import Any

from penstock.config import LOOPBACK
from penstock.launcher.service import NotReady

_TIMEOUT_S = 3


def json_answer(port: int, path: str, host: str = LOOPBACK) -> Any:
    """What `GET path` answers, on this machine unless another is named.

    Raises:
        NotReady: no answer within 3 s, or one that is not 200 with JSON.
    """
    connection = http.client.HTTPConnection(host, port, timeout=_TIMEOUT_S)
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
