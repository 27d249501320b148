"""The project's pipelines: where they are found, what collides, which one a command means."""

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from penstock.cli import cli
from penstock.config import Settings, read_settings
from penstock.errors import ConfigError, ContractError
from penstock.pipelines.project import chosen, declarations, stamp
from penstock.users import USERS

ORDERS = """
from datetime import datetime
from typing import Annotated

from penstock import From, Pipeline, Record, Schedule, Source
from penstock.users import USERS

FIELDS = {{name: getattr(USERS, name) for name in Pipeline.model_fields}}
FIELDS |= {{"name": "{0}", "topic": "{0}", "table": "{0}"}}
FIELDS |= {{"schedule": USERS.schedule.model_copy(update={{"dag_id": "{0}"}})}}
{1} = Pipeline(**FIELDS | {2})
"""


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty project, which is the working folder."""
    for variable in ("PENSTOCK_PIPELINES", "PENSTOCK_PROJECT"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def declare(project: Path, name: str, changes: str = "{}", variable: str = "PIPELINE", file: str = "") -> Path:
    """A file that declares the pipeline of that name."""
    (project / "pipelines").mkdir(exist_ok=True)
    path = project / "pipelines" / f"{file or name}.py"
    path.write_text(ORDERS.format(name, variable, changes))
    return path


def names(settings: Settings | None = None) -> list[str]:
    return [each.pipeline.name for each in declarations(settings or read_settings()) if each.pipeline]


def errors() -> list[str]:
    return [str(each.error) for each in declarations(read_settings()) if each.error]


def test_project_that_declares_nothing_is_the_users_pipeline() -> None:
    assert [each.pipeline for each in declarations(read_settings())] == [USERS]


def test_every_declaration_of_the_folder_is_a_pipeline_of_the_project(project: Path) -> None:
    declare(project, "orders")
    declare(project, "invoices", variable="ANY_NAME")
    declare(project, "draft", file="_draft")
    (project / "pipelines" / "notes.txt").write_text("no Python")
    assert names() == ["invoices", "orders"]


def test_what_a_file_imports_or_hides_or_names_twice_is_not_declared_by_it(project: Path) -> None:
    with declare(project, "orders").open("a") as file:
        file.write("SAME = PIPELINE\n_HIDDEN = PIPELINE.model_copy(update={'name': 'hidden'})\n")
    assert names() == ["orders"]


def test_file_that_only_imports_a_pipeline_hands_it_on(project: Path) -> None:
    declare(project, "orders")
    (project / "pipelines" / "users.py").write_text("from penstock.users import USERS\n")
    assert names() == ["orders", "users"]


def test_declaration_may_import_what_stands_beside_it(project: Path) -> None:
    declare(project, "orders")
    (project / "pipelines" / "_beside.py").write_text("KEYSPACE = 'elsewhere'\n")
    path = declare(project, "orders", "{'keyspace': KEYSPACE}")
    path.write_text("from _beside import KEYSPACE\n" + path.read_text())
    assert chosen(read_settings()).keyspace == "elsewhere"


def test_annotations_may_name_what_comes_later_in_the_file(project: Path) -> None:
    path = declare(project, "orders", "{'record': Order, 'key': 'id'}")
    order = "class Order(Record):\n    id: Annotated['Number', From('id')]\nNumber = int\nOrder.model_rebuild()\n"
    path.write_text(path.read_text().replace("FIELDS =", f"{order}FIELDS =", 1))
    assert [column.cql for column in chosen(read_settings()).columns] == ["bigint"]


def test_list_of_the_settings_wins_over_the_folder(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    declare(project, "orders")
    monkeypatch.setenv("PENSTOCK_PIPELINES", "penstock.users:USERS , ")
    assert names() == ["users"]


def test_list_of_the_projects_file_is_read_each_time_and_its_modules_stand_in_the_project(project: Path) -> None:
    declare(project, "listed_orders").rename(project / "listed_orders.py")
    (project / "penstock.toml").write_text('pipelines = ["listed_orders:PIPELINE"]\n')
    settings = read_settings()
    child = read_settings({"PENSTOCK_CONFIG": written(project, settings)})
    assert names(child) == ["listed_orders"]
    (project / "penstock.toml").write_text('pipelines = ["listed_orders:PIPELINE", "penstock.users:USERS"]\n')
    assert names(child) == names(settings) == ["listed_orders", "users"]


def written(project: Path, settings: Settings) -> str:
    """A file of settings as the launcher gives it to a process, which works in another folder."""
    path = project / "elsewhere" / "stream.json"
    path.parent.mkdir()
    path.write_text(settings.as_json())
    return str(path)


@pytest.mark.parametrize("text", ["pipelines = 5", "pipelines = [5]", 'pipelines = {a = "b"}'])
def test_list_that_is_none_is_refused(project: Path, text: str) -> None:
    (project / "penstock.toml").write_text(text)
    with pytest.raises(ConfigError, match=r"setting pipelines.*penstock\.toml"):
        read_settings()


def test_list_that_is_none_any_more_is_refused_with_its_file(project: Path) -> None:
    settings = read_settings()
    (project / "penstock.toml").write_text("pipelines = 5")
    with pytest.raises(ConfigError, match=r"setting pipelines \(file .*penstock\.toml\) is 5"):
        declarations(settings)


def test_processes_find_the_project_from_another_folder(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    declare(project, "orders")
    environment = read_settings().environment()
    (project / "other").mkdir()
    monkeypatch.chdir(project / "other")
    assert names(read_settings(environment)) == ["orders"]


@pytest.mark.parametrize(
    ("changes", "shared"),
    [
        ("{'name': 'orders'}", "name, orders, which is also that of the checkpoint"),
        ("{'topic': 'orders'}", "topic, orders"),
        ("{'topic': 'orders.dead-letters'}", "topic, orders.dead-letters"),
        (
            "{'topic': 'orders_dead-letters'}",
            "topic, orders.dead-letters and orders_dead-letters, which Kafka takes for one",
        ),
        ("{'table': 'orders'}", "table, spark_streams.orders"),
        ("{'schedule': USERS.schedule.model_copy(update={'dag_id': 'orders'})}", "DAG, orders"),
    ],
)
def test_two_that_would_mix_up_their_records_are_refused_with_both_named(
    project: Path, changes: str, shared: str
) -> None:
    one, other = declare(project, "orders"), declare(project, "returns", changes)
    declare(project, "users")
    text = f"{one}:PIPELINE and {other}:PIPELINE are two pipelines with the same {shared}. Change it in one of them."
    assert errors() == [text, text]
    assert chosen(read_settings(), "users").name == "users"
    with pytest.raises(ContractError, match="are two pipelines with the same"):
        chosen(read_settings(), "orders")


def test_broken_file_is_told_with_its_line_and_the_others_are_there(project: Path) -> None:
    declare(project, "orders")
    (broken := project / "pipelines" / "broken.py").write_text("X = 1\nY = 1 / 0\n")
    assert errors() == [f"no pipeline at {broken}: {broken}:2: ZeroDivisionError: division by zero."]
    assert chosen(read_settings(), "orders").name == "orders"
    with pytest.raises(ContractError, match="ZeroDivisionError"):
        chosen(read_settings())


@pytest.mark.parametrize(
    "text", ["X = (", "\0", "raise SystemError('x')", "raise SystemExit(3)", "X = Pipeline(name='a')"]
)
def test_file_that_cannot_be_executed_is_one_broken_declaration(project: Path, text: str) -> None:
    path = declare(project, "orders")
    path.write_text(f"from penstock import Pipeline\n{text}")
    assert len(errors()) == 1


def test_folder_whose_files_declare_nothing_is_no_users_pipeline(project: Path) -> None:
    declare(project, "orders").write_text("PIPELINE = None\n")
    with pytest.raises(ContractError, match=r"none of orders\.py gives a name to a penstock\.Pipeline"):
        declarations(read_settings())


def test_single_pipeline_needs_no_name(project: Path) -> None:
    declare(project, "orders")
    assert chosen(read_settings()).name == chosen(read_settings(), "orders").name == "orders"


def test_name_that_is_needed_or_wrong_is_answered_with_the_names(project: Path) -> None:
    declare(project, "orders")
    declare(project, "invoices")
    with pytest.raises(ConfigError, match="several pipelines: say which one, --pipeline invoices or orders"):
        chosen(read_settings())
    with pytest.raises(ConfigError, match="--pipeline is 'users'; the pipelines of this project are: invoices, orders"):
        chosen(read_settings(), "users")


def test_stamp_is_another_one_after_each_change(project: Path) -> None:
    settings, seen = read_settings(), set()
    for change in (
        lambda: declare(project, "orders"),
        lambda: declare(project, "invoices"),
        (project / "pipelines" / "orders.py").unlink,
        lambda: (project / "penstock.toml").write_text("pipelines = []"),
    ):
        seen.add(stamp(settings))
        change()
    assert len({*seen, stamp(settings)}) == 5


def run(*arguments: str) -> Result:
    return CliRunner().invoke(cli, [*arguments])


def test_commands_take_the_name_and_check_looks_at_all(project: Path) -> None:
    declare(project, "orders")
    declare(project, "invoices")
    assert (
        "CREATE TABLE IF NOT EXISTS spark_streams.orders"
        in run("schema", "--form", "cql", "--pipeline", "orders").stdout
    )
    assert isinstance(run("schema").exception, ConfigError)
    assert [line.split()[1] for line in run("check").stdout.splitlines()] == ["invoices", "orders"]
    (project / "pipelines" / "broken.py").write_text("1 / 0")
    done = run("check")
    assert "pipeline orders is sound" in done.stdout
    assert "broken.py:1: ZeroDivisionError" in str(done.exception)


NEEDS_NONE = {
    "check",
    "backup",
    "console",
    "doctor",
    "down",
    "logs",
    "new",
    "overview",
    "ready",
    "restore",
    "secrets",
    "serve",
    "simulate",
    "status",
    "stream",
    "up",
}


def test_every_command_about_a_pipeline_takes_its_name() -> None:
    commands = {**cli.commands, **getattr(cli.commands["dead-letters"], "commands", {})}
    del commands["dead-letters"]
    lacking = {name for name, one in commands.items() if "--pipeline" not in {o for p in one.params for o in p.opts}}
    assert lacking == NEEDS_NONE - {"check", "overview", "stream"}
