"""The console without servers and a browser: who comes in, what pages hold, metrics, history, drawing, marks."""

import json
import re
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from datetime import timedelta
from pathlib import Path
from xml.etree import ElementTree

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families
from pydantic import SecretStr

from penstock.audit.overview import Overview, PipelinePart, RefusedPart
from penstock.config import ConsoleSettings, Settings
from penstock.console.charts import charts
from penstock.console.desk import of_the_stack
from penstock.console.drawing import drawings, speed
from penstock.console.history import LONG, SHORT, History, Point, Rate, rate
from penstock.console.marking import SHOWN, editable, pieces
from penstock.console.metrics import exposed
from penstock.console.probe import Latency, Samples
from penstock.console.sampler import Moment
from penstock.console.shown import Shown
from penstock.doctor import Finding, Grade
from penstock.pipelines.record import Reason
from rig.moving import SVG
from tests.consoles import OTHERS, TOKEN, Console, Looks, serving
from tests.pictures import AT, DONE, counted, held, picture, silent
from tests.waiting import until


def flowing() -> PipelinePart:
    return picture(held((0, 12_345), missing_field=3), counted(11_243, 12_345, {0: 11_242}, rejected=39))


DOCS = Path(__file__).parents[2] / "docs"
MOMENT = Moment(1, Looks(flowing()).look(), {}, {"users": Latency(0.024, 0.18, 90)})


@contextmanager
def opened(folder: Path, *parts: PipelinePart, **console: object) -> Iterator[httpx.Client]:
    """A browser before the door of a console that sees these pipelines."""
    with serving(folder, *parts, **console) as here, browsing(here) as client:
        yield client


def browsing(console: Console) -> httpx.Client:
    return httpx.Client(base_url=console.url)


def own_origin(client: httpx.Client) -> str:
    return str(client.base_url).rstrip("/")


@pytest.fixture(scope="module")
def console(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Console]:
    with serving(tmp_path_factory.mktemp("console"), flowing()) as here:
        yield here


@pytest.fixture
def outside(console: Console) -> Iterator[httpx.Client]:
    with browsing(console) as client:
        yield client


@pytest.fixture
def inside(outside: httpx.Client) -> httpx.Client:
    assert outside.get(f"/p/users?token={TOKEN}").status_code == 303
    return outside


@pytest.mark.parametrize("path", ["/", "/p/users", "/metrics", "/api/overview", "/events", "/services", "/nothing"])
def test_without_the_token_nobody_comes_in(outside: httpx.Client, path: str) -> None:
    assert outside.get(path).status_code == 401
    assert outside.get(path, headers={"Authorization": "Bearer another"}).status_code == 401
    assert outside.get(f"{path}?token=another").status_code == 401
    outside.cookies.set(f"penstock_console_{outside.base_url.port}", TOKEN)
    assert outside.get(path).status_code == 401


def test_token_is_needed_once_and_leaves_the_address(outside: httpx.Client) -> None:
    answer = outside.get(f"/p/users?span=day&token={TOKEN}")
    assert (answer.status_code, answer.headers["location"]) == (303, "/p/users?span=day")
    cookie = answer.headers["set-cookie"]
    assert all(word in cookie for word in ("HttpOnly", "SameSite=strict", f"penstock_console_{outside.base_url.port}="))
    assert TOKEN not in cookie
    assert outside.get("/p/users").status_code == 200


def test_prometheus_comes_in_with_the_token_as_bearer(outside: httpx.Client) -> None:
    assert outside.get("/metrics", headers={"Authorization": f"Bearer {TOKEN}"}).status_code == 200


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/static/nothing"),
        ("GET", "/static/"),
        ("GET", "/static/..%2f..%2fp/users"),
        ("POST", "/static/console.css"),
        ("GET", "/healthz/"),
        ("GET", "/healthzzz"),
        ("POST", "/healthz"),
    ],
)
def test_nothing_of_the_pages_is_seen_without_the_token(outside: httpx.Client, method: str, path: str) -> None:
    answer = outside.request(method, path, headers={"Origin": own_origin(outside)})
    assert answer.status_code in (401, 404, 405)
    assert not re.search("users|kafka|arriving", answer.text)


def test_token_leads_to_no_other_place(outside: httpx.Client) -> None:
    answer = outside.get(f"{own_origin(outside)}//evil.example/x?token={TOKEN}")
    assert (answer.status_code, answer.headers["location"]) == (303, "/evil.example/x")


def test_launcher_asks_for_health_without_a_token(outside: httpx.Client) -> None:
    assert outside.get("/healthz").json() == {"status": "ok"}


@pytest.mark.parametrize("host", ["evil.example", "evil.example:{}", "127.0.0.1", "127.0.0.1:1"])
def test_another_name_that_leads_here_is_refused(inside: httpx.Client, host: str) -> None:
    named = host.format(inside.base_url.port)
    assert inside.get("/p/users", headers={"Host": named}).status_code == 421


def test_names_of_the_settings_are_answered(tmp_path: Path) -> None:
    with opened(tmp_path, flowing(), hosts="console.example, other.example:443") as client:
        for host in ("console.example", "console.example:{}", "other.example:443", "localhost:{}"):
            named = host.format(client.base_url.port)
            assert client.get("/healthz", headers={"Host": named}).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Origin": "null"},
        {"Origin": "http://evil.example"},
        {"Origin": "http://127.0.0.1:9999"},
        {"Origin": "", "Sec-Fetch-Site": "cross-site"},
    ],
)
def test_only_the_consoles_own_page_changes_something(inside: httpx.Client, headers: dict[str, str]) -> None:
    own = {"Origin": own_origin(inside)} if headers.get("Origin") == "" else {}
    answer = inside.post("/p/users/letters/abc/dismiss", headers={**headers, **own}, data={"why": "x"})
    assert (answer.status_code, "own page" in answer.text) == (403, True)


def test_read_only_console_changes_nothing(tmp_path: Path) -> None:
    with opened(tmp_path, flowing(), read_only=True) as client:
        client.get(f"/?token={TOKEN}")
        answer = client.post(
            "/p/users/letters/abc/replay", headers={"Origin": own_origin(client)}, data={"value": "{}"}
        )
    assert (answer.status_code, "read_only" in answer.text) == (403, True)


@pytest.mark.parametrize("path", ["/p/users", "/p/users?span=day", "/services", "/p/users/trace", "/p/x", "/nothing"])
def test_pages_need_nothing_inline_and_nothing_from_elsewhere(inside: httpx.Client, path: str) -> None:
    answer = inside.get(path)
    policy = answer.headers["content-security-policy"]
    assert "unsafe" not in policy
    assert "default-src 'none'" in policy
    assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\sstyle=|\son\w+=|javascript:", answer.text)
    assert not re.findall(r"(?:src|href)=\"(?:https?:)?//(?!127\.0\.0\.1)", answer.text)


def test_page_says_the_state_first_and_draws_it(inside: httpx.Client) -> None:
    text = inside.get("/p/users").text
    assert text.index("Run of 27 Nov is arriving: 11,204 of 12,345 are rows") < text.index("<svg")
    assert 'href="/p/users/runs/scheduled__2026-11-27T00%3A00%3A00%2B00%3A00"' in text
    assert "kafka: restarting" in text


def test_one_pipeline_is_the_page_and_several_have_one_drawing_each(tmp_path: Path, inside: httpx.Client) -> None:
    assert inside.get("/").headers["location"] == "/p/users"
    other = picture(held((0, 100)), DONE, pipeline=OTHERS, cassandra=silent(12))
    with opened(tmp_path / "several", flowing(), other) as client:
        client.get(f"/?token={TOKEN}")
        text = client.get("/").text
    assert text.count("<h2><a href=") == 2
    assert "Cassandra has not answered for 12 s" in text


def test_project_without_a_sound_pipeline_has_a_page_that_says_so(tmp_path: Path) -> None:
    refused = [RefusedPart(place="x.py", problem="x.py: line 1 is <b>")]
    with serving(tmp_path, refused=refused) as console, browsing(console) as client:
        assert client.get(f"/services?token={TOKEN}").status_code == 303
        for path, status in {"/": 200, "/services": 200, "/p/users": 404, "/metrics": 200}.items():
            answer = client.get(path)
            assert (answer.status_code, "x.py: line 1 is &lt;b&gt;" in answer.text) == (status, path != "/metrics")


def test_texts_of_others_do_no_harm(tmp_path: Path) -> None:
    evil = "<script>alert(1)</script>\u202e\u0007"
    part = flowing()
    runs = tuple(run.model_copy(update={"run": evil, "problem": evil}) for run in part.runs)
    letters = part.letters.model_copy(update={"by_reason": {evil: 7}})
    part = part.model_copy(update={"sentence": evil, "runs": runs, "letters": letters})
    with opened(tmp_path, part) as client:
        client.get(f"/?token={TOKEN}")
        text = client.get("/p/users").text
    assert "<script>alert" not in text
    assert "\u202e" not in text
    assert "\u0007" not in text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;\\u202e\\x07" in text


def test_json_is_that_of_the_command(inside: httpx.Client) -> None:
    assert inside.get("/api/overview").json() == Looks(flowing()).look().model_dump(mode="json")


def test_metrics_have_prometheus_names_and_values() -> None:
    families = list(text_string_to_metric_families(exposed(MOMENT).decode()))
    assert all(re.fullmatch(r"penstock_[a-z0-9_]+", family.name) and family.documentation for family in families)
    found = {
        (sample.name, *sorted(sample.labels.items())): sample.value for family in families for sample in family.samples
    }
    partition = (("partition", "0"), ("pipeline", "users"), ("topic", "users_created"))
    users = ("pipeline", "users")
    assert found["penstock_published_messages_total", *partition] == 12_345
    assert found["penstock_lag_messages", *partition] == 1_102
    assert found["penstock_items", ("account", "dead_lettered"), users] == 39
    assert found["penstock_pipeline_state", users, ("state", "flowing")] == 1
    assert found["penstock_pipeline_state", users, ("state", "broken")] == 0
    assert found["penstock_open_letters", users, ("reason", "missing_field")] == 3
    assert found["penstock_latency_p99_seconds", users] == 0.18
    assert found["penstock_service_up", ("service", "kafka")] == 0
    assert found["penstock_service_restarts_total", ("service", "kafka")] == 3


def point(second: float, passed: int | None = 0, waiting: int | None = 0) -> Point:
    return Point(AT.timestamp() + second, passed, passed, waiting, 0.0, 0, None)


def seen(second: int) -> Overview:
    return Overview(at=AT + timedelta(seconds=second), pipelines=(flowing(),), services=())


def test_history_keeps_a_point_each_step_forgets_and_outlives_the_console(tmp_path: Path) -> None:
    with closing(History(tmp_path / "h.sqlite")) as history:
        for second in range(0, 2_000, 2):
            history.add(seen(second))
    end_s = AT.timestamp() + 2_000
    with closing(History(tmp_path / "h.sqlite")) as history:
        short, long = (history.points("users", span, end_s) for span in (SHORT, LONG))
    assert len(short) == SHORT.seconds // SHORT.step_s
    assert min(each.at_s for each in short) >= end_s - SHORT.seconds
    assert len(long) == len({(AT.timestamp() + second) // LONG.step_s for second in range(0, 2_000, 2)})
    assert short[-1].waiting == 1_102


def test_rates_are_between_points_that_were_seen_and_never_negative() -> None:
    assert rate(point(0, 100), point(10, 600)) == Rate(50.0, 50.0, 0.0)
    assert rate(point(0, 100), point(10, 0)) == Rate(0.0, 0.0, 0.0)
    assert rate(point(0, None), point(10, 600)).passed is None


def test_line_of_a_chart_is_broken_where_nobody_looked() -> None:
    points = [point(second, second * 10) for second in (0, 5, 10, 300, 305, 310)]
    [rows, waiting, _] = charts(points, SHORT, AT.timestamp() + 310)
    assert rows.line.count("M") == 2
    assert (rows.now, waiting.now) == ("10 /s", "0")
    assert charts([], SHORT, AT.timestamp())[0].line == ""


def test_pipes_move_only_when_records_do() -> None:
    part = flowing()
    still, _ = drawings(part, Rate(0.0, 0.0, 0.0), AT)
    moving, _ = drawings(part, Rate(620.0, 5.0, 0.0), AT)
    assert {pipe.speed for pipe in still.pipes} == {0}
    speeds = {pipe.name: pipe.speed for pipe in moving.pipes}
    assert speeds == {"fetch": 2, "publish": 2, "read": 1, "store": 1, "reject": 0, "reject-early": 0}
    assert [speed(each) for each in (-1, 0, 0.1, 99, 100, 1_000)] == [0, 0, 1, 1, 2, 3]


def test_boxes_say_what_they_show() -> None:
    wide, narrow = ({box.name: box for box in drawing.boxes} for drawing in drawings(flowing(), None, AT))
    assert (wide["kafka"].state, wide["kafka"].lines[0].text) == ("answers", "1,102 wait")
    assert [line.text for line in wide["letters"].lines] == ["3 open", "3 missing_field"]
    table = wide["cassandra"].lines[-1]
    assert (table.whole, table.text) == ("spark_streams.created_users", "spark_streams.create…")
    assert narrow["cassandra"].lines[-1].text == "spark_streams.created_users"


def test_latency_stands_where_the_rows_are() -> None:
    boxes = {box.name: box for box in drawings(flowing(), None, AT, Latency(0.024, 1.42, 90))[0].boxes}
    assert [line.text for line in boxes["cassandra"].lines][:2] == ["11,204 stored", "p50 24 ms, p99 1.4 s"]


def test_latency_is_of_the_last_quarter_of_an_hour() -> None:
    clock = [0.0]
    samples = Samples(lambda: clock[0])
    assert samples.latency() is None
    samples.add(60.0)
    clock[0] = 900.1
    for hundredth in range(1, 101):
        samples.add(hundredth / 100)
    assert samples.latency() == Latency(pytest.approx(0.505), pytest.approx(0.9901), 100)
    clock[0] = 2_000.0
    samples.add(7.0)
    assert samples.latency() == Latency(7.0, 7.0, 1)


def test_what_ten_pages_show_is_made_once(tmp_path: Path) -> None:
    with closing(History(tmp_path / "h.sqlite")) as history:
        shown = Shown(Settings(home=tmp_path).resolved(), history)
        names = ["flow-users", "say-users", "charts-users", "head", "unknown-users", "flow-unknown"]
        first, second = shown.parts(MOMENT, names), shown.parts(MOMENT, names)
    assert first.keys() == {"flow-users", "say-users", "charts-users", "head"}
    assert all(first[name] is second[name] for name in first)


@pytest.mark.parametrize(("minutes", "box", "column"), [(2, "good", ""), (3, "wait", "bad")])
def test_partition_is_coloured_only_where_the_stream_should_have_moved(minutes: int, box: str, column: str) -> None:
    part = flowing()
    since = AT - timedelta(minutes=minutes)
    waiting = tuple(one.model_copy(update={"still_since": since}) for one in part.kafka.partitions)
    part = part.model_copy(update={"kafka": part.kafka.model_copy(update={"partitions": waiting})})
    [kafka] = [each for each in drawings(part, None, AT)[0].boxes if each.name == "kafka"]
    assert (kafka.tone, {each.tone for each in kafka.columns}) == (box, {column})


def test_doctors_page_has_nothing_about_the_environment_of_the_console_itself() -> None:
    findings = [Finding(name, Grade.NOTE, "") for name in ("environment", "java", "proxies", "kafka")]
    assert [each.subject for each in of_the_stack(findings)] == ["java", "kafka"]


def test_many_partitions_share_columns_and_long_names_are_cut() -> None:
    part = picture(held(*[(0, 10)] * 100), counted(0, None, {}))
    [kafka] = [box for box in drawings(part, None, AT)[0].boxes if box.name == "kafka"]
    assert len(kafka.columns) <= 32
    assert all(kafka.x <= column.x and column.x + column.width <= kafka.x + kafka.width for column in kafka.columns)
    assert "partition 0–3: 40 wait" in {column.title for column in kafka.columns}


def marked(value: bytes, reason: str, message: str = "") -> list[str]:
    return [piece.text for piece in pieces(value, reason, message) if "mark" in piece.kind]


def test_faulty_place_of_a_record_is_marked() -> None:
    value = b'{"id": "x", "name": {"email": 1}, "email": "no, it is {not}", "n": [1, {"email": 2}]}'
    assert marked(value, Reason.INVALID_VALUE, "email: is wrong") == ['"no, it is {not}"']
    assert marked(value, Reason.WRONG_TYPE, "n: is wrong") == ['[1, {"email": 2}]']
    assert marked(value, Reason.MISSING_FIELD, "phone: Field required") == []


def test_faulty_place_of_an_api_item_is_marked_by_its_path() -> None:
    value = b'{"login":{"uuid":"x"},"name":{"first":"","last":"b"}}'
    message = "first_name: String should have at least 1 character (from 'name.first' of the API's answer)"
    assert marked(value, Reason.INVALID_VALUE, message) == ['""']


def test_faulty_place_of_what_is_no_json_and_of_what_is_no_text_is_marked() -> None:
    assert marked(b'{"a": 1, b}', Reason.MALFORMED_JSON) == ["b"]
    assert marked(b"ab\xffcd", Reason.NOT_UTF8) == ["\\xff"]


def test_what_steers_a_screen_is_written_out() -> None:
    texts = [(piece.text, piece.kind) for piece in pieces("a\u202eb\x1b\nc".encode(), Reason.UNKNOWN_FIELD, "")]
    assert texts == [("a", ""), ("\\u202e", "odd"), ("b", ""), ("\\u001b", "odd"), ("\nc", "")]


def test_large_value_is_shown_in_part_and_at_once() -> None:
    value = b'{"a": "' + b"x" * (4 * 1024 * 1024) + b'", "email": 1}'
    began_s = time.process_time()
    found = pieces(value, Reason.WRONG_TYPE, "email: is wrong")
    assert sum(len(piece.text) for piece in found) == SHOWN + 1
    assert time.process_time() - began_s < 5


def test_value_to_correct_is_spread_over_lines_and_stays_the_same() -> None:
    value = '{"a":[1.10,{"b":"x, {y}"}],"c":{},"d":[],"e":"\u202e"}'
    assert editable(value.encode()).splitlines() == [
        "{",
        '  "a": [',
        "    1.10,",
        "    {",
        '      "b": "x, {y}"',
        "    }",
        "  ],",
        '  "c": {},',
        '  "d": [],',
        '  "e": "\\u202e"',
        "}",
    ]
    assert json.loads(editable(value.encode())) == json.loads(value)


@pytest.mark.parametrize("value", [b'{"broken', b"ab", b"", b'{"a": 1 2}', b"[" * 5_000])
def test_value_that_is_no_json_is_corrected_as_it_is(value: bytes) -> None:
    assert editable(value) == value.decode()


def test_value_that_is_absent_or_empty_has_nothing_to_show() -> None:
    assert pieces(None, Reason.NO_VALUE, "") == pieces(b"", Reason.MALFORMED_JSON, "") == []


def test_settings_hide_the_token() -> None:
    assert TOKEN not in repr(replace_token(Settings()))


def replace_token(settings: Settings) -> Settings:
    return settings.model_copy(update={"console": ConsoleSettings(token=SecretStr(TOKEN))})


@pytest.mark.parametrize("name", ["prometheus-rules.yaml", "grafana-dashboard.json"])
def test_what_is_deployed_asks_for_metrics_that_there_are(name: str) -> None:
    families = text_string_to_metric_families(exposed(MOMENT).decode())
    known = {sample.name for family in families for sample in family.samples}
    text = (Path(__file__).parents[2] / "deploy" / name).read_text("utf-8")
    asked = set(re.findall(r"\bpenstock_[a-z0-9_]+\b", text))
    assert len(asked) > 5
    assert asked - known == set()


def test_every_metric_is_told_of_also_where_nothing_runs() -> None:
    """From which the page about metrics is made."""
    families = text_string_to_metric_families(exposed(MOMENT).decode())
    text = (DOCS / "metrics.md").read_text("utf-8")
    assert [each.name for family in families for each in family.samples[:1] if f"`{each.name}`" not in text] == []


def test_streams_that_nobody_reads_hold_up_no_page_and_end_with_their_connection(tmp_path: Path) -> None:
    with serving(tmp_path, flowing()) as console, browsing(console) as client:
        assert client.get(f"/p/users?token={TOKEN}").status_code == 303
        cookie = "; ".join(f"{name}={value}" for name, value in client.cookies.items())
        asked = f"GET /events?parts=flow-users HTTP/1.1\r\nHost: 127.0.0.1:{console.port}\r\nCookie: {cookie}\r\n\r\n"
        tasks = console.server.server_state.tasks
        with ExitStack() as closing_all:
            for _ in range(100):
                unread = closing_all.enter_context(socket.create_connection(("127.0.0.1", console.port)))
                unread.sendall(asked.encode())
            until(lambda: len(tasks) >= 100)
            assert client.get("/p/users").status_code == 200
        until(lambda: not tasks)


def test_picture_in_the_docs_is_the_drawing_of_today() -> None:
    root = ElementTree.parse(DOCS / "console.svg").getroot()  # noqa: S314 - a file of ours
    groups = [(one.get("class", ""), one) for one in root.iter(f"{{{SVG}}}g")]
    wide, _ = drawings(flowing(), Rate(620.0, 5.0, 0.0), AT)
    for box in wide.boxes:
        found = {
            tuple(int(rectangle.get(name, "")) for name in ("x", "y", "width", "height"))
            for kind, group in groups
            if kind == f"box-{box.name}"
            for rectangle in group.iter(f"{{{SVG}}}rect")
            if "box" in rectangle.get("class", "").split()
        }
        assert found == {(box.x, box.y, box.width, box.height)}, "the drawing has changed: scripts/pictures FOLDER"
    read = [path.get("class", "") for kind, group in groups if kind == "pipe-read" for path in group.iter()]
    assert any(re.search("moves-[123]", kind) for kind in read)


def test_picture_in_the_docs_is_a_small_film_that_moves_by_its_style_sheet() -> None:
    text = (DOCS / "console.svg").read_text("utf-8")
    root = ElementTree.fromstring(text)  # noqa: S314 - a file of ours
    assert len(text) < 1_000_000
    assert not {one.tag.rpartition("}")[2] for one in root.iter()} & {"script", "a", "image", "foreignObject", "use"}
    timed = {kind for one in root.iter() for kind in one.get("class", "").split() if re.fullmatch(r"t\d+", kind)}
    assert timed
    assert {kind for kind in timed if f"@keyframes {kind} " not in text} == set()
    texts = {one.text or "" for one in root.iter(f"{{{SVG}}}text")}
    assert any("kill -9" in each for each in texts), "nothing is killed in it: scripts/pictures FOLDER"
    assert any(re.fullmatch(r"fetched \d+ = stored \d+ \+ dead-lettered \d+", each) for each in texts)
