"""What people see of the services."""

import io
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from rich.console import Console

from penstock.config import Settings
from penstock.launcher.control import Phase, ServiceState, StackState
from penstock.users import USERS
from penstock.views import rows, services
from penstock.views.rows import rows_table
from penstock.views.services import ServicesScreen, program, services_table, show_pages_and_credentials


def shown(*states: ServiceState) -> str:
    console = Console(width=120)
    with console.capture() as captured:
        console.print(services_table(StackState(home=Path("/home"), supervisor_pid=1, services=states)))
    return captured.get()


def kafka(name: str, **more: str) -> ServiceState:
    return ServiceState(name=name, state=Phase.READY, ports={"outside": 9092, "inside": 29092}, log=Path("log"), **more)


def test_ports_on_another_address_than_this_machines_usual_one_say_so() -> None:
    first, second = shown(kafka("kafka"), kafka("kafka-2", host="127.0.0.2")).splitlines()[-3:-1]
    assert "9092, 29092 on 127.0.0.2" in second
    assert " on " not in first


def test_service_without_ports_has_no_address() -> None:
    assert "127.0.0.2" not in shown(kafka("kafka", host="127.0.0.2").model_copy(update={"ports": {}}))


@pytest.mark.parametrize("width", [1, 2, 17])
@pytest.mark.parametrize("count", [0, 1])
def test_a_terminal_of_hardly_any_width_gets_what_fits(monkeypatch: pytest.MonkeyPatch, width: int, count: int) -> None:
    console = Console(width=width, file=io.StringIO())
    monkeypatch.setattr(rows, "out", console)
    console.print(rows_table([{"id": "x" * 36, "first_name": "علی"}] * count, USERS))
    console.print(services_table(StackState(home=Path("/home"), supervisor_pid=1, services=(kafka("kafka"),) * count)))


@pytest.mark.parametrize(("terminal", "moves"), [("dumb", False), ("xterm", True)])
def test_a_terminal_that_cannot_be_redrawn_gets_a_line_for_each_change(
    monkeypatch: pytest.MonkeyPatch, terminal: str, moves: bool
) -> None:
    console = Console(file=io.StringIO(), force_terminal=True, _environ={"TERM": terminal, "NO_COLOR": "1"})
    monkeypatch.setattr(services, "err", console)
    with ServicesScreen("Starting") as view:
        view.update(StackState(home=Path("/home"), supervisor_pid=1, services=(kafka("kafka"),)))
    drawn = console.file.getvalue()  # type: ignore[attr-defined]
    assert ("\x1b[" in drawn) is moves
    assert ("  kafka                   ready\n" in drawn) is not moves


@pytest.mark.parametrize(("on_path", "shown_as"), [("", "bin/penstock"), ("bin", "penstock")])
def test_program_is_named_shortly_also_when_it_was_called_by_a_link(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, on_path: str, shown_as: str
) -> None:
    (tmp_path / "clone" / "bin").mkdir(parents=True)
    (tmp_path / "clone" / "bin" / "penstock").touch(mode=0o755)
    (tmp_path / "link").symlink_to(tmp_path / "clone")
    monkeypatch.chdir(tmp_path / "clone")
    monkeypatch.setenv("PATH", str(tmp_path / "clone" / on_path) if on_path else "")
    monkeypatch.setattr("sys.argv", [str(tmp_path / "link" / "bin" / "penstock")])
    assert program() == shown_as


def test_the_way_to_stop_a_stack_names_its_home_where_that_is_not_the_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(settings: Settings) -> str:
        console = Console(file=io.StringIO())
        monkeypatch.setattr(services, "out", console)
        show_pages_and_credentials(StackState(home=settings.home, supervisor_pid=1, services=()), settings)
        return console.file.getvalue()  # type: ignore[attr-defined,no-any-return]

    assert " down (the data stay in " in stop(Settings().resolved())
    assert f" down --home '{tmp_path / 'a b'}' (" in stop(Settings(home=tmp_path / "a b").resolved())


def test_server_that_does_not_answer_is_shown_with_the_time_since_when() -> None:
    since = datetime.now().astimezone().replace(hour=0, minute=0, second=12)
    hung = kafka("kafka").model_copy(update={"state": Phase.NOT_ANSWERING, "silent_since": since.astimezone(UTC)})
    assert "not answering since 00:00:12" in shown(hung)
    yesterday = hung.model_copy(update={"silent_since": since - timedelta(days=1)})
    assert f"since {since - timedelta(days=1):%Y-%m-%d} 00:00:12" in shown(yesterday)
