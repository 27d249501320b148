"""GitHub's list of a repository's issues without the network, with invented issues.

    python examples/issues/simulator.py --port 8102 --token secret

The same seed has the same issues, on every machine. What they are like depends on the date that the list is of: issues
are opened, labelled, assigned, closed and opened again, each change moving `updated_at`.

One thing is not GitHub's: an issue that was deleted stays in the list as what is left of it, with `deleted_at`. GitHub
leaves it out without a word, and says so in webhooks only. See docs/example-issues.md.

Held against https://docs.github.com/rest/issues/issues (version 2022-11-28). Left out: filters by people, labels and
milestones, and the order by comments.
"""

import argparse
import json
import logging
import re
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from random import Random
from typing import Any
from urllib.parse import urlencode

from penstock.simulator import Asked, Reply, serve
from penstock.simulator.faults import whole

REPOSITORY = "apache/kafka"
_API = "https://api.github.com"
_DEFAULT, _MOST = 30, 100
"""Issues on a page."""
_BEGAN = datetime(2026, 10, 1, tzinfo=UTC)
_APART = timedelta(hours=6)
"""Between one new issue and the next."""
_PEOPLE = ("ayşe", "bjørn", "chloé", "dmitri", "wei")
_LABELS = (("bug", "d73a4a"), ("documentation", "0075ca"), ("good first issue", "7057ff"), ("streams", "fbca04"))
_TITLES = (
    "Consumer hangs after a rebalance",
    "Document the new timeouts",
    "Übersetzung der Fehlermeldungen 🙂",
    "Broker forgets its log directory",
    "日本語の件名でも壊れない",
)

Change = tuple[datetime, Mapping[str, Any]]
Answer = tuple[HTTPStatus, Any, Mapping[str, str]]


class Repository:
    """Answers questions to the list as of a moment; None means that of the question."""

    def __init__(self, token: str, seed: int = 0, as_of: datetime | None = None, count: int = 250) -> None:
        self.as_of = as_of
        self._token = token
        self._seed = seed
        self._count = count

    def __call__(self, asked: Asked) -> Reply:
        status, value, headers = self._answer(asked)
        body = json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
        return whole(status, body, {"Content-Type": "application/json; charset=utf-8", **headers})

    def issues(self, moment: datetime) -> list[dict[str, Any]]:
        """All that were opened until this moment, as they were then; the oldest first."""
        found = (self._issue(number, moment) for number in range(1, self._count + 1))
        return [one for one in found if one]

    def _answer(self, asked: Asked) -> Answer:
        if asked.headers.get("Authorization", "") not in (f"Bearer {self._token}", f"token {self._token}"):
            return HTTPStatus.UNAUTHORIZED, _said("Bad credentials"), {}
        if asked.path != f"/repos/{REPOSITORY}/issues":
            return HTTPStatus.NOT_FOUND, _said("Not Found"), {}
        try:
            found = _chosen(asked.query, self.issues(self.as_of or datetime.now(UTC)))
        except ValueError as error:
            return HTTPStatus.UNPROCESSABLE_ENTITY, _said(f"Validation Failed: {error}"), {}
        size = min(_positive(asked.query, "per_page", _DEFAULT), _MOST)
        page, last = _positive(asked.query, "page", 1), max(1, -(-len(found) // size))
        return HTTPStatus.OK, found[(page - 1) * size : page * size], _links(asked, page, last)

    def _issue(self, number: int, moment: datetime) -> dict[str, Any] | None:
        chance = Random(f"{self._seed}/{number}").random  # noqa: S311 - invented issues, no secret
        opened = _BEGAN + _APART * number + timedelta(seconds=int(chance() * 3_600))
        if opened > moment:
            return None
        issue = _opened(chance, number, opened)
        for at, changes in _changes(chance, opened):
            if at <= moment:
                issue |= {**changes, "updated_at": _text(at)}
        return issue


def _opened(chance: Callable[[], float], number: int, opened: datetime) -> dict[str, Any]:
    """An issue as it was opened; every fourth is a pull request."""
    repository, page = f"{_API}/repos/{REPOSITORY}", f"https://github.com/{REPOSITORY}"
    kind = "pull" if number % 4 == 0 else "issues"
    pull = {"url": f"{repository}/pulls/{number}", "html_url": f"{page}/pull/{number}", "merged_at": None}
    return {
        "url": f"{repository}/issues/{number}",
        "repository_url": repository,
        "html_url": f"{page}/{kind}/{number}",
        "id": 3_000_000_000 + number * 977,
        "node_id": f"I_{number:08x}",
        "number": number,
        "title": f"{_TITLES[int(chance() * len(_TITLES))]} ({number})",
        "user": None if chance() < 0.03 else _person(chance),
        "labels": [],
        "state": "open",
        "locked": False,
        "assignee": None,
        "assignees": [],
        "milestone": None,
        "comments": 0,
        "created_at": _text(opened),
        "updated_at": _text(opened),
        "closed_at": None,
        "author_association": "CONTRIBUTOR",
        **({"pull_request": pull, "draft": False} if kind == "pull" else {}),
        "body": None if chance() < 0.2 else f"Seen with 4.{int(chance() * 3)}.\r\n\r\n```\nat line {number}\n```",
        "state_reason": None,
    }


def _changes(chance: Callable[[], float], opened: datetime) -> Iterator[Change]:
    at = opened + timedelta(seconds=600 + int(chance() * 86_400))
    yield at, {"labels": _labels(chance), "comments": 1 + int(chance() * 9)}
    if chance() < 0.5:
        at += timedelta(seconds=600 + int(chance() * 3 * 86_400))
        person = _person(chance)
        milestone = {"number": 1, "title": "4.3.0", "state": "open", "due_on": None, "description": None}
        yield at, {"assignee": person, "assignees": [person], "milestone": milestone}
    fate = chance()
    at += timedelta(seconds=600 + int(chance() * 5 * 86_400))
    if fate < 0.06:
        # What the list of this simulator has in place of nothing at all.
        yield at, {"deleted_at": _text(at), "title": "", "body": None, "labels": [], "assignees": [], "user": None}
    elif fate < 0.6:
        reason = "completed" if fate < 0.5 else "not_planned"
        yield at, {"state": "closed", "state_reason": reason, "closed_at": _text(at)}
        if fate < 0.15:
            at += timedelta(seconds=600 + int(chance() * 5 * 86_400))
            # What had a value has none any more.
            yield at, {"state": "open", "state_reason": "reopened", "closed_at": None, "milestone": None}


def _chosen(query: Mapping[str, str], issues: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Those that are asked for, in the order that is asked for.

    Raises:
        ValueError: GitHub refuses such a question.
    """
    state, sort = query.get("state", "open"), query.get("sort", "created")
    if state not in ("open", "closed", "all") or sort not in ("created", "updated"):
        raise ValueError(f"state {state!r} or sort {sort!r}")
    since = query.get("since", "")
    if since and not re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", since):
        raise ValueError(f"since {since!r}")
    found = [one for one in issues if state in ("all", one["state"]) and one["updated_at"] >= since]
    newest_first = query.get("direction", "desc") != "asc"
    return sorted(found, key=lambda one: (one[f"{sort}_at"], one["number"]), reverse=newest_first)


def _links(asked: Asked, page: int, last: int) -> dict[str, str]:
    """The header `Link`, which is left out where everything is on one page."""
    base = f"http://{asked.headers.get('Host', '')}{asked.path}"
    pages = {"prev": page - 1, "next": page + 1, "last": last, "first": 1}
    forward = page < last
    left_out = {"next", "last"} if not forward else set()
    left_out |= {"prev", "first"} if page == 1 else set()
    links = [
        f'<{base}?{urlencode({**asked.query, "page": number})}>; rel="{name}"'
        for name, number in pages.items()
        if name not in left_out
    ]
    limit = {"X-RateLimit-Limit": "5000", "X-RateLimit-Remaining": "4999", "X-GitHub-Media-Type": "github.v3"}
    return {**limit, **({"Link": ", ".join(links)} if links else {})}


def _positive(query: Mapping[str, str], name: str, default: int) -> int:
    """GitHub takes what is no number for the default."""
    text = query.get(name, "")
    return int(text) if re.fullmatch(r"[1-9]\d{0,8}", text, re.ASCII) else default


def _labels(chance: Callable[[], float]) -> list[dict[str, Any]]:
    return [
        {"id": 100 + number, "name": name, "color": color, "default": False, "description": None}
        for number, (name, color) in enumerate(_LABELS)
        if chance() < 0.4
    ]


def _person(chance: Callable[[], float]) -> dict[str, Any]:
    number = int(chance() * len(_PEOPLE))
    return {"login": _PEOPLE[number], "id": 500 + number, "type": "User", "site_admin": False}


def _said(message: str) -> dict[str, str]:
    return {"message": message, "documentation_url": "https://docs.github.com/rest"}


def _text(moment: datetime) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}"


def main() -> None:
    """Serves until Ctrl-C."""
    options = argparse.ArgumentParser(description="A repository's issues as GitHub lists them, on this machine.")
    options.add_argument("--port", type=int, default=8102)
    options.add_argument("--token", required=True, help="whoever asks has to have it")
    options.add_argument("--seed", type=int, default=0, help="other issues")
    options.add_argument("--as-of", type=datetime.fromisoformat, help="the list of that date in UTC; now by default")
    given = options.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    as_of = given.as_of.replace(tzinfo=given.as_of.tzinfo or UTC) if given.as_of else None
    serve(given.port, api=Repository(given.token, given.seed, as_of))


if __name__ == "__main__":
    main()
