"""The simulated users API gives what the real one gives, with its quirks, and the same for the same question."""

import hashlib
import json
import os
import signal
import subprocess
import sys
import unicodedata
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from penstock.errors import PortTakenError
from penstock.pipelines.record import from_api
from penstock.simulator import RateLimit, Simulator
from penstock.simulator.people import answer, question
from penstock.users import USERS, User

# Of 500 people; it changes only when the simulator gives other people, which every stored run would notice.
GOLDEN = "6c31cda7ce86e362d13ea9ea7bd79d2d67f824224c12f1aa51506b2104181ebd"
REAL = Path(__file__).parents[1] / "data" / "randomuser-1.4.json"


@pytest.fixture(scope="module")
def simulator() -> Iterator[Simulator]:
    with Simulator() as running:
        yield running


def ask(simulator: Simulator, **params: Any) -> dict[str, Any]:
    """The answer to this query."""
    response = httpx.get(simulator.url, params=params, trust_env=False)
    assert response.status_code == 200, response.text
    found: dict[str, Any] = response.json()
    return found


def people(**params: Any) -> list[dict[str, Any]]:
    """The people that this query asks for, without HTTP."""
    found: list[dict[str, Any]] = answer(question({name: str(value) for name, value in params.items()}))["results"]
    return found


def shape(value: Any) -> dict[str, set[str]]:
    """Every path in a JSON value, with the types that stand there."""
    found: dict[str, set[str]] = defaultdict(set)

    def walk(part: Any, path: str) -> None:
        found[path].add(type(part).__name__)
        if isinstance(part, list):
            part = {f"[{index}]": item for index, item in enumerate(part)}
        for name, child in part.items() if isinstance(part, dict) else ():
            walk(child, f"{path}.{'[]' if name.startswith('[') else name}")

    walk(value, "$")
    return dict(found)


def test_answer_has_the_shape_and_types_of_the_real_one(simulator: Simulator) -> None:
    real = json.loads(REAL.read_text("utf-8"))
    assert shape(ask(simulator, seed="x", results=200)) == shape(real)


def test_fields_stand_in_the_order_of_the_real_answer() -> None:
    real = json.loads(REAL.read_text("utf-8"))["results"][0]
    assert list(people(seed="x")[0]) == list(real)


def test_every_person_is_a_user() -> None:
    assert all(isinstance(from_api(USERS, item), User) for item in people(seed="x", results=1000))


def test_no_two_people_of_a_seed_share_an_id() -> None:
    ids = [item["login"]["uuid"] for page in (1, 2, 3) for item in people(seed="x", page=page, results=1000)]
    assert len(set(ids)) == 3000


def test_people_are_the_same_in_every_run_and_version() -> None:
    text = json.dumps(people(seed="20250312T143000000000Z", page=2, results=500), ensure_ascii=False)
    assert hashlib.sha256(text.encode()).hexdigest() == GOLDEN


def test_fewer_results_are_the_beginning_of_the_page() -> None:
    assert people(seed="x", page=3, results=10) == people(seed="x", page=3, results=100)[:10]


def test_page_is_appended_to_the_seed() -> None:
    assert people(seed="a1", page=2) == people(seed="a", page=12)


def test_info_echoes_the_question(simulator: Simulator) -> None:
    info = ask(simulator, seed="x", page=3, results=7)["info"]
    assert info == {"seed": "x", "results": 7, "page": 3, "version": "1.4"}


@pytest.mark.parametrize("results", ["5001", "0", "-1", "many", "", "2.5"])
def test_unusable_number_of_results_is_silently_one(simulator: Simulator, results: str) -> None:
    found = ask(simulator, results=results)
    assert (len(found["results"]), found["info"]["results"]) == (1, 1)


@pytest.mark.parametrize("page", ["10001", "0", "-1", "last"])
def test_unusable_page_is_silently_the_first(simulator: Simulator, page: str) -> None:
    assert ask(simulator, seed="x", page=page) == ask(simulator, seed="x", page=1)


def test_gives_up_to_five_thousand_at_once() -> None:
    assert question({"results": "5000"}).results == 5000


def test_without_seed_every_answer_is_another_one(simulator: Simulator) -> None:
    first, second = ask(simulator), ask(simulator)
    assert first["info"]["seed"] != second["info"]["seed"]
    assert ask(simulator, seed=first["info"]["seed"]) == first


def test_seed_of_eighteen_characters_picks_a_nationality(simulator: Simulator) -> None:
    found = ask(simulator, seed="0123456789abcdef04", results=20)
    assert {item["nat"] for item in found["results"]} == {"DE"}
    assert found["info"]["seed"] == "0123456789abcdef0404"


def test_nationalities_can_be_chosen(simulator: Simulator) -> None:
    assert {item["nat"] for item in ask(simulator, nat="ir,UA", results=50)["results"]} == {"IR", "UA"}


def test_postcodes_are_numbers_or_text_by_country() -> None:
    kinds = {item["nat"]: type(item["location"]["postcode"]) for item in people(seed="x", results=1000)}
    assert {nat for nat, kind in kinds.items() if kind is str} == {"CA", "GB", "NO"}
    assert len(kinds) == 21


def test_some_countries_give_no_id() -> None:
    assert {item["nat"] for item in people(seed="x", results=1000) if item["id"]["value"] is None} == {
        "IR",
        "NZ",
        "TR",
        "UA",
    }


def test_names_are_in_several_scripts() -> None:
    letters = "".join(item["name"]["last"] for item in people(seed="x", results=1000))
    scripts = {unicodedata.name(letter).split()[0] for letter in letters if letter.isalpha()}
    assert scripts == {"LATIN", "ARABIC", "CYRILLIC"}


def test_addresses_of_mail_are_plain_ascii() -> None:
    local = [item["email"].removesuffix("@example.com").split(".") for item in people(seed="x", results=1000)]
    assert all(len(parts) == 2 and all(part.isascii() and part for part in parts) for parts in local)


@pytest.mark.parametrize("params", [{"format": "csv"}, {"fmt": "xml"}, {"inc": "name"}, {"gender": "male"}])
def test_refuses_what_it_does_not_simulate(simulator: Simulator, params: dict[str, str]) -> None:
    response = httpx.get(simulator.url, params=params, trust_env=False)
    assert response.status_code == 400
    assert response.json()["error"].startswith("this simulator")


@pytest.mark.parametrize("path", ["/", "/api/1.3/", "/api/portraits", "/healthz"])
def test_other_paths_are_not_found(simulator: Simulator, path: str) -> None:
    assert httpx.get(str(httpx.URL(simulator.url).join(path)), trust_env=False).status_code == 404


def test_limit_answers_429_without_a_time_and_forgets_when_its_window_ends() -> None:
    now_s = iter([0.0, 1.0, 2.0, 3.0, 300.0])
    with (
        Simulator(limit=RateLimit(users=10), monotonic_s=now_s.__next__) as limited,
        httpx.Client(trust_env=False) as client,
    ):
        replies = [client.get(limited.url, params={"results": "6"}) for _ in range(4)]
    assert [reply.status_code for reply in replies] == [200, 200, 429, 200]
    assert "error" in replies[2].json()
    assert "Retry-After" not in replies[2].headers


def test_taken_port_is_named(simulator: Simulator) -> None:
    with pytest.raises(PortTakenError, match=f"needs port {simulator.port}"):
        Simulator(simulator.port)


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_command_says_when_it_is_ready_and_stops_gently(how: signal.Signals) -> None:
    code = "from penstock.simulator import serve; serve(0, ready=lambda port: print(port, flush=True))"
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        port = int(process.stdout.readline())
        assert httpx.get(f"http://127.0.0.1:{port}/api/?results=1", trust_env=False).status_code == 200
        os.kill(process.pid, how)
        assert process.wait(timeout=30) == 0
