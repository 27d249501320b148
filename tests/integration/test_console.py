"""The console of the running stack in a real browser: a run flows, a letter becomes a row, a server goes silent."""

import os
import re
import signal
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from penstock.audit.overview import ProjectObserver
from penstock.cassandra import Store
from penstock.config import Settings
from penstock.console.app import app
from penstock.console.history import History
from penstock.ingest import run_ingest
from penstock.kafka import Broker, Message
from penstock.launcher import control
from penstock.pipelines.contract import Pipeline
from penstock.servers.console_token import address
from penstock.servers.secrets import with_credentials
from penstock.source import Interval
from rig.browsers import chromium
from rig.stacks import free_ports
from tests.consoles import TOKEN, in_thread
from tests.declared import declare
from tests.waiting import TIMEOUT_S, until

LONG_MS = TIMEOUT_S * 1_000


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as found:
        yield found


@pytest.fixture
def page(browser: Browser, stack_settings: Settings) -> Iterator[Page]:
    """The page of the pipeline users, for somebody who was let in."""
    with browser.new_context() as context:
        page = context.new_page()
        page.goto(address(stack_settings, "/p/users"))
        yield page


def assert_anybody_can_read(page: Page) -> None:
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()


def test_run_is_seen_to_flow_and_leads_to_its_records(page: Page, stack_settings: Settings, pipeline: Pipeline) -> None:
    run = f"console-{uuid4().hex[:8]}"
    run_ingest(stack_settings, pipeline, run, Interval(datetime.now(UTC)), 500)
    moving = ".pipe-read .moves-1, .pipe-read .moves-2, .pipe-read .moves-3"
    expect(page.locator("svg.wide").locator(moving).first).to_be_attached(timeout=LONG_MS)
    row = page.locator("#runs-users tr", has_text=run)
    expect(row).to_contain_text("balances", timeout=LONG_MS)
    assert_anybody_can_read(page)
    row.get_by_role("link").click()
    expect(page.locator(".say")).to_contain_text("fetched 500 = stored 500 + dead-lettered 0")
    expect(page.locator("main")).to_contain_text("Airflow has no run of this name")
    assert_anybody_can_read(page)
    page.get_by_role("region", name="Messages").get_by_role("link").first.click()
    expect(page.locator(".say")).to_contain_text("1 message, 1 row, 0 dead letters", timeout=LONG_MS)


def test_latency_of_records_is_shown(page: Page, stack_settings: Settings, pipeline: Pipeline) -> None:
    cassandra = page.locator(".box-cassandra").first

    def followed() -> bool:
        """What comes before the console's own reader is there is not measured."""
        run_ingest(stack_settings, pipeline, "console-followed", Interval(datetime.now(UTC)), 1)
        return "p50" in (cassandra.text_content() or "")

    until(followed)


def test_letter_is_corrected_in_the_page_and_becomes_a_row(
    page: Page, stack_settings: Settings, pipeline: Pipeline, broker: Broker, store: Store
) -> None:
    key = uuid4()
    bad = f'{{"id":"{key}","first_name":"<b>علی</b>","last_name":"B","email":7,"username":"u"}}'
    message = Message(pipeline.topic, str(key).encode(), bad.encode(), {}, datetime.now(UTC))
    place = broker.publish([message])
    [((_, partition), offset)] = place.last.items()
    origin = f"{pipeline.topic}/{partition}/{offset}"
    # The stream has written it once the overview counts it.
    expect(page.locator(".box-letters").first).to_contain_text("wrong_type", timeout=LONG_MS)
    page.get_by_role("link", name="dead letters", exact=True).click()
    page.get_by_label("Reason").select_option("wrong_type")
    page.get_by_role("button", name="Show").click()
    for link in [each.get_attribute("href") for each in page.locator("tbody a.mono").all()]:
        page.goto(page.url.partition("/p/")[0] + (link or ""))
        if origin in page.inner_text("dl"):
            break
    expect(page.locator("mark")).to_have_text("7")
    expect(page.locator("#verdict")).to_contain_text("email: Input should be a valid string")
    expect(page.get_by_role("button", name="Replay")).to_be_disabled()
    page.get_by_role("textbox", name="Correct and replay").fill(bad.replace("7,", '"right@example.com",'))
    expect(page.locator("#verdict")).to_have_text("This is a record.")
    assert_anybody_can_read(page)
    page.get_by_role("button", name="Replay").click()
    expect(page.locator("#outcome")).to_be_visible()
    expect(page.locator("#outcome")).to_contain_text("Resolved", timeout=LONG_MS)
    [row] = store.rows(pipeline, [key])
    assert (row.values["email"], row.values["first_name"]) == ("right@example.com", "<b>علی</b>")


def test_cassandra_that_is_killed_is_said_and_seen_to_come_back(page: Page, stack_settings: Settings) -> None:
    cassandra = page.locator(".box-cassandra .light").first
    expect(cassandra).to_have_class(re.compile("good"), timeout=LONG_MS)
    pid = control.status(stack_settings, memory=False).service("cassandra").pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    expect(page.locator(".say")).to_contain_text("Cassandra", timeout=LONG_MS)
    expect(page.locator(".say")).to_contain_text("nothing is lost")
    expect(cassandra).to_have_class(re.compile("bad|wait"))  # silent, or being restarted
    expect(cassandra).to_have_class(re.compile("good"), timeout=LONG_MS)
    expect(page.locator(".say")).not_to_contain_text("Cassandra")


def test_pipeline_that_is_declared_meanwhile_has_a_drawing_beside_the_first(
    browser: Browser, stack_settings: Settings, tmp_path: Path
) -> None:
    """Two pipelines on one Kafka, Cassandra, Airflow and Spark, of which Spark carries one."""
    declare(tmp_path, "users", "from penstock.users import USERS")
    [port] = free_ports(1)
    ports = stack_settings.ports.model_copy(update={"console": port})
    settings = with_credentials(stack_settings).model_copy(update={"project": str(tmp_path), "ports": ports})
    with (
        closing(History(tmp_path / "history.sqlite")) as history,
        ProjectObserver(settings) as observer,
        in_thread(app(settings, observer, history, TOKEN), port),
        browser.new_context() as context,
    ):
        page = context.new_page()
        page.goto(f"http://127.0.0.1:{port}/?token={TOKEN}")
        expect(page.locator("svg.wide")).to_have_count(1)
        assert page.url.endswith("/p/users")
        declare(tmp_path, "second")
        expect(page.get_by_role("navigation", name="Pages")).to_contain_text("second", timeout=LONG_MS)
        page.get_by_role("link", name="Penstock").click()
        expect(page.locator("svg.wide")).to_have_count(2)
        expect(page.locator("#say-users")).to_contain_text("Nothing is on its way", timeout=LONG_MS)
        expect(page.locator("#say-second")).to_contain_text("The stream")
        assert_anybody_can_read(page)
