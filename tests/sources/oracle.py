"""Reads lists with dlt's REST client, each as one line of JSON to stdout: what our own reading is held against.

In a process of its own, as dlt sets up logging and configuration for the whole process it is imported in.
"""

import json
import sys
from typing import Any

from dlt.sources.helpers.rest_client import RESTClient, paginators

_KINDS = {
    "link": paginators.HeaderLinkPaginator,
    "next url": paginators.JSONLinkPaginator,
    "page": paginators.PageNumberPaginator,
    "offset": paginators.OffsetPaginator,
}


def read(url: str, params: dict[str, Any], kind: str, options: dict[str, Any], items: str) -> list[Any]:
    """All items of the list."""
    client = RESTClient(base_url=url, paginator=_KINDS[kind](**options), data_selector=items)
    return [item for page in client.paginate("", params=params) for item in page]


if __name__ == "__main__":
    for one in json.loads(sys.argv[1]):
        sys.stdout.write(json.dumps(read(**one)) + "\n")
