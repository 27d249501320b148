"""The API over HTTP: how it is declared (here), and how it is asked (`api`).

What a declaration needs is imported from here: `from penstock.source import Bearer, Link, Source`. No client library
comes with it, so that a declaration is read in an instant; whoever asks the API imports `penstock.source.api`.
"""

from penstock.source.auth import ApiKey, Basic, Bearer, OAuth2ClientCredentials
from penstock.source.declaration import Source
from penstock.source.interval import Interval, seed_for, yesterday
from penstock.source.paging import (
    Ask,
    Body,
    Cursor,
    FirstPage,
    Generated,
    Link,
    NextUrl,
    Offset,
    Page,
    Paging,
    Seen,
    WrongAnswerError,
)
from penstock.source.places import Columns, Header, One
from penstock.source.rate import PerSecond

__all__ = [
    "ApiKey",
    "Ask",
    "Basic",
    "Bearer",
    "Body",
    "Columns",
    "Cursor",
    "FirstPage",
    "Generated",
    "Header",
    "Interval",
    "Link",
    "NextUrl",
    "OAuth2ClientCredentials",
    "Offset",
    "One",
    "Page",
    "Paging",
    "PerSecond",
    "Seen",
    "Source",
    "WrongAnswerError",
    "seed_for",
    "yesterday",
]
