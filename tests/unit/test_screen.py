"""What people see of the services."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from rich.console import Console

from penstock.screen import services_table
from penstock.services.control import Phase, ServiceState, StackState


def shown(*services: ServiceState) -> str:
    console = Console(width=120)
    with console.capture() as captured:
        console.print(services_table(StackState(home=Path("/home"), supervisor_pid=1, services=services)))
    return captured.get()


def kafka(name: str, **more: str) -> ServiceState:
    return ServiceState(name=name, state=Phase.READY, ports={"outside": 9092, "inside": 29092}, log=Path("log"), **more)


def test_ports_on_another_address_than_this_machines_usual_one_say_so() -> None:
    first, second = shown(kafka("kafka"), kafka("kafka-2", host="127.0.0.2")).splitlines()[-3:-1]
    assert "9092, 29092 on 127.0.0.2" in second
    assert " on " not in first


def test_service_without_ports_has_no_address() -> None:
    assert "127.0.0.2" not in shown(kafka("kafka", host="127.0.0.2").model_copy(update={"ports": {}}))


def test_server_that_does_not_answer_is_shown_with_the_time_since_when() -> None:
    since = datetime.now().astimezone().replace(hour=0, minute=0, second=12)
    hung = kafka("kafka").model_copy(update={"state": Phase.NOT_ANSWERING, "silent_since": since.astimezone(UTC)})
    assert "not answering since 00:00:12" in shown(hung)
    yesterday = hung.model_copy(update={"silent_since": since - timedelta(days=1)})
    assert f"since {since - timedelta(days=1):%Y-%m-%d} 00:00:12" in shown(yesterday)
