"""What is shown of an address holds nothing that lets somebody in."""

import logging

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.urls import shown

SECRET = "hush4711"
# What RFC 3986 lets stand in each part without being encoded, the delimiters of that part left out.
TEXTS = st.text("abcXYZ019-._~!$'()*+,;%", min_size=1).map(lambda text: SECRET + text.replace("%", "%25"))


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://example.com/api/", "https://example.com/api/"),
        ("https://example.com:8443", "https://example.com:8443"),
        ("http://[::1]:8090/api/?page=2", "http://[::1]:8090/api/?page=2"),
        (f"https://me:{SECRET}@example.com/api/", "https://example.com/api/"),
        (f"https://{SECRET}@example.com/api/", "https://example.com/api/"),
        (f"https://example.com/?key={SECRET}&page=2&nat=gb", "https://example.com/?key=***&page=2&nat=***"),
        (f"https://example.com/?page=2#{SECRET}", "https://example.com/?page=2"),
        (f"https://example.com/?{SECRET}", "https://example.com/?***"),
        (f"https://example.com/?{SECRET}=", "https://example.com/?***"),
        (f"https://example.com/?%70age={SECRET}", f"https://example.com/?%70age={SECRET}"),
        (f"/api/?key={SECRET}", "/api/?key=***"),
    ],
)
def test_query_and_user_are_hidden_and_what_is_plain_is_kept(url: str, expected: str) -> None:
    assert shown(url, plain=["page"]) == expected


@pytest.mark.parametrize(
    "url",
    [
        f"https://me:{SECRET}/x@example.com/",
        f"https://me:{SECRET}?x@example.com/",
        f"https://me:{SECRET}#x@example.com/",
        f"https://me:{SECRET}",
        f"me:{SECRET}@example.com",
        f"https://[{SECRET}",
    ],
)
def test_an_address_that_is_none_shows_no_part_of_a_password(url: str) -> None:
    assert SECRET not in shown(url)


@given(user=TEXTS, value=TEXTS, fragment=TEXTS)
def test_nothing_secret_of_any_address_is_shown(user: str, value: str, fragment: str) -> None:
    assert shown(f"https://me:{user}@host/api/?key={value}&page=3#{fragment}", ["page"]) == (
        "https://host/api/?key=***&page=3"
    )


def test_log_of_the_http_client_shows_no_secret(caplog: pytest.LogCaptureFixture) -> None:
    answer = httpx.MockTransport(lambda _: httpx.Response(200))
    with caplog.at_level(logging.INFO), httpx.Client(transport=answer) as client:
        client.get(f"https://me:{SECRET}@example.com/api/?key={SECRET}")
    assert "GET https://example.com/api/?key=***" in caplog.text
    assert SECRET not in caplog.text
