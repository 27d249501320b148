"""Settings come from one reader; an error says which key, where it came from and what is allowed."""

import traceback
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from penstock.cli.support.options import with_settings, with_stack
from penstock.config import Settings, child_environment, declaring_files, read_settings
from penstock.errors import ConfigError, FolderError

SECRET = "correct horse"


@pytest.fixture(autouse=True)
def empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Settings of the folder that the tests were started in are not read."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def wrong(environ: dict[str, str], overrides: dict[str, object] | None = None) -> str:
    """What the error says."""
    with pytest.raises(ConfigError) as caught:
        read_settings(environ, overrides)
    return str(caught.value)


def test_defaults_need_no_environment() -> None:
    settings = read_settings({})
    assert settings.kafka.bootstrap_servers == "127.0.0.1:9092"
    assert settings.source.simulator == "http://127.0.0.1:8090/api/"


def test_command_line_wins_over_environment_over_file(empty_folder: Path) -> None:
    (empty_folder / "penstock.toml").write_text("[source]\nattempts = 1\nmax_wait_s = 1\nread_timeout_s = 1\n")
    environ = {"PENSTOCK_SOURCE_ATTEMPTS": "2", "PENSTOCK_SOURCE_MAX_WAIT_S": "2"}
    source = read_settings(environ, {"source": {"attempts": 3}}).source
    assert (source.attempts, source.max_wait_s, source.read_timeout_s) == (3, 2, 1)


def test_offset_moves_every_port_and_what_names_one() -> None:
    settings = read_settings({"PENSTOCK_PORT_OFFSET": "100"})
    default = read_settings({}).ports.model_dump()
    assert settings.ports.model_dump() == {name: port + 100 for name, port in default.items()}
    assert settings.cassandra.port == settings.ports.cassandra == 9142
    assert settings.spark.master == "spark://127.0.0.1:7177"


def test_resolving_twice_changes_nothing() -> None:
    settings = read_settings({"PENSTOCK_PORT_OFFSET": "100"})
    assert settings.resolved() == settings


def test_folders_are_absolute(empty_folder: Path) -> None:
    settings = read_settings({"PENSTOCK_HOME": "here", "PENSTOCK_CACHE": "~/there"})
    assert settings.home == empty_folder / "here"
    assert settings.cache == Path.home() / "there"
    assert settings.spark.checkpoint == str(empty_folder / "here" / "data" / "checkpoint")


def test_one_folder_is_one_setting_whatever_links_lead_to_it(empty_folder: Path) -> None:
    (empty_folder / "link").symlink_to(empty_folder / "disk")
    names = ("PENSTOCK_HOME", "PENSTOCK_CACHE", "PENSTOCK_SPARK_CHECKPOINT")
    spelt = {
        spelling: read_settings(dict.fromkeys(names, spelling)) for spelling in ("link/a", "disk/a", "link/b/../a")
    }
    assert len({settings.model_dump_json() for settings in spelt.values()}) == 1
    assert spelt["link/a"].home == empty_folder / "disk" / "a"


def test_files_are_absolute_and_a_link_to_a_renewed_one_stays_a_link(empty_folder: Path) -> None:
    (empty_folder / "ca.pem").symlink_to("ca-2025.pem")
    named = {path: "ca.pem" for path in Settings().environment() if path.endswith(("_LOCATION", "_JAVA_HOME"))}
    settings = read_settings({**named, "PENSTOCK_CASSANDRA_SSL": "true"})
    assert {settings.environment()[name] for name in named} == {str(empty_folder / "ca.pem")}


@pytest.mark.parametrize(
    ("given", "place"),
    [
        ("file:///data/check%20point", "/data/check point"),
        ("file:/data", "/data"),
        ("s3a://bucket/a", "s3a://bucket/a"),
        ("hdfs:/a", "hdfs:/a"),
    ],
)
def test_a_checkpoint_on_this_machine_is_a_folder_and_another_a_url(given: str, place: str) -> None:
    assert read_settings({"PENSTOCK_SPARK_CHECKPOINT": given}).spark.checkpoint == place


def test_settings_survive_the_environment_of_a_child(empty_folder: Path) -> None:
    environ = {"PENSTOCK_PORT_OFFSET": "7", "PENSTOCK_KAFKA_SASL_PASSWORD": SECRET, "PENSTOCK_HOME": "a b/ü"}
    settings = read_settings(environ)
    (empty_folder / "penstock.toml").write_text("[source]\nattempts = 1\n")
    assert read_settings(settings.environment()) == settings


def test_settings_survive_a_file_of_a_child(empty_folder: Path) -> None:
    settings = read_settings({"PENSTOCK_KAFKA_SASL_PASSWORD": SECRET, "PENSTOCK_SPARK_CONF": '{"a.b": "c"}'})
    (empty_folder / "settings.json").write_text(settings.as_json(), "utf-8")
    assert read_settings({"PENSTOCK_CONFIG": "settings.json"}) == settings


@pytest.mark.parametrize("text", ["[]", "{", "home = 1"])
def test_a_file_that_is_no_json_is_named(empty_folder: Path, text: str) -> None:
    (empty_folder / "settings.json").write_text(text)
    assert "settings.json cannot be read as JSON" in wrong({"PENSTOCK_CONFIG": "settings.json"})


def test_every_setting_has_an_environment_variable_of_its_own() -> None:
    def leaves(schema: dict[str, object]) -> int:
        return sum(leaves(v) if isinstance(v, dict) and v else 1 for v in schema.values())

    assert len(Settings().environment()) == leaves(Settings().model_dump())


def test_child_inherits_no_setting_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PENSTOCK_CONFIG", "relative.toml")
    assert child_environment({"A": "b"}) == child_environment({}) | {"A": "b"}
    assert "PENSTOCK_CONFIG" not in child_environment({})


def test_secrets_are_in_no_repr() -> None:
    settings = read_settings({"PENSTOCK_KAFKA_SASL_PASSWORD": SECRET, "PENSTOCK_CASSANDRA_PASSWORD": SECRET})
    assert settings.cassandra.password.get_secret_value() == SECRET
    assert SECRET not in repr(settings) + str(settings) + settings.model_dump_json()


def test_secrets_are_in_no_traceback(empty_folder: Path) -> None:
    (empty_folder / "penstock.toml").write_text("[kafka]\nsasl_password = [4711]\n")
    with pytest.raises(ConfigError, match=r"kafka\.sasl_password .* is a secret, which is not allowed") as caught:
        read_settings({})
    assert "4711" not in "".join(traceback.format_exception(caught.value))


def test_unknown_setting_without_a_near_one_lists_those_there_are(empty_folder: Path) -> None:
    assert "sections of settings are home, cache" in wrong({"PENSTOCK_XXXXXXXXXXXXXX": "1"})
    (empty_folder / "penstock.toml").write_text("[kafka]\nzzzzqqqqq = 1\n")
    assert "Those of kafka are kafka.bootstrap_servers, kafka.partitions" in wrong({})


def test_unknown_variable_names_the_nearest_ones() -> None:
    said = wrong({"PENSTOCK_PORTS_KAFAK": "1"})
    assert said.startswith(
        "environment variable PENSTOCK_PORTS_KAFAK is not a setting; did you mean PENSTOCK_PORTS_KAFKA"
    )


def test_unknown_key_of_the_file_names_file_and_nearest_key(empty_folder: Path) -> None:
    file = empty_folder / "penstock.toml"
    file.write_text("[sourc]\nurl = 'x'\n")
    assert wrong({}).startswith(f"setting sourc (file {file}) does not exist")


def test_wrong_value_names_variable_value_and_what_is_allowed() -> None:
    said = wrong({"PENSTOCK_KAFKA_SECURITY_PROTOCOL": "TLS"})
    assert said.startswith(
        'setting kafka.security_protocol (environment variable PENSTOCK_KAFKA_SECURITY_PROTOCOL) is "TLS"'
    )
    assert "'PLAINTEXT', 'SSL', 'SASL_PLAINTEXT' or 'SASL_SSL'" in said


def test_wrong_value_of_the_file_names_the_file(empty_folder: Path) -> None:
    file = empty_folder / "other.toml"
    file.write_text("[ports]\nkafka = 70000\n")
    said = wrong({"PENSTOCK_CONFIG": str(file)})
    assert said.startswith(f"setting ports.kafka (file {file}) is 70000")
    assert "less than or equal to 65535" in said


def test_wrong_value_of_the_command_line_is_not_blamed_on_the_environment() -> None:
    said = wrong({"PENSTOCK_PORT_OFFSET": "1"}, {"port_offset": 60_000})
    assert said.startswith("setting port_offset (the command line) is 60000")


def test_several_wrong_values_are_told_at_once() -> None:
    said = wrong({"PENSTOCK_PORTS_KAFKA": "x", "PENSTOCK_HEAPS_KAFKA": "1T"})
    assert len(said.splitlines()) == 2


def test_offset_beyond_the_last_port_says_how_far_it_may_go() -> None:
    assert "allowed here: 0 to 36442" in wrong({"PENSTOCK_PORT_OFFSET": "40000"})
    assert read_settings({"PENSTOCK_PORT_OFFSET": "36442"}).ports.kafka_controller == 65535


def test_two_services_on_one_port_are_named() -> None:
    assert "ports.kafka and ports.cassandra are both 9042" in wrong({"PENSTOCK_PORTS_KAFKA": "9042"})


@pytest.mark.parametrize("variable", ["PENSTOCK_HOME", "PENSTOCK_CACHE"])
def test_empty_folder_is_not_the_working_folder(variable: str) -> None:
    assert "it names no folder" in wrong({variable: ""})


@pytest.mark.parametrize("value", ["0", "-1", "inf", "nan", "soon"])
def test_seconds_are_a_positive_number(value: str) -> None:
    assert "source.read_timeout_s" in wrong({"PENSTOCK_SOURCE_READ_TIMEOUT_S": value})


def test_named_file_must_exist(empty_folder: Path) -> None:
    assert (
        wrong({"PENSTOCK_CONFIG": "no.toml"})
        == f"PENSTOCK_CONFIG names {empty_folder / 'no.toml'}, which does not exist"
    )


def test_file_that_is_no_toml_says_where(empty_folder: Path) -> None:
    (empty_folder / "penstock.toml").write_text("[source\n")
    assert "cannot be read as TOML" in wrong({})


def test_a_command_that_starts_servers_takes_which_ones(tmp_path: Path) -> None:
    seen: list[Settings] = []

    @click.command
    @with_stack
    @with_settings
    def command(settings: Settings) -> None:
        seen.append(settings)

    CliRunner().invoke(command, ["--kafka", "zookeeper", "--home", str(tmp_path)], catch_exceptions=False)
    assert [settings.stack.kafka for settings in seen] == ["zookeeper"]


def cluster(environ: dict[str, str] | None = None) -> Settings:
    return read_settings({"PENSTOCK_STACK_PROFILE": "cluster", **(environ or {})})


def test_a_cluster_is_named_whole_and_kept_in_three_copies() -> None:
    settings = cluster({"PENSTOCK_PORT_OFFSET": "10"})
    assert settings.kafka.bootstrap_servers == "127.0.0.1:9102,127.0.0.2:9102,127.0.0.3:9102"
    assert settings.cassandra.contact_points == "127.0.0.1,127.0.0.2,127.0.0.3"
    assert (settings.kafka.replication_factor, settings.cassandra.replication_factor) == (3, 3)
    assert (settings.spark.executors, settings.heaps.cassandra) == (2, "512m")


def test_what_is_given_wins_over_the_profile() -> None:
    settings = cluster({"PENSTOCK_HEAPS_CASSANDRA": "1g", "PENSTOCK_KAFKA_REPLICATION_FACTOR": "1"})
    assert (settings.heaps.cassandra, settings.kafka.replication_factor) == ("1g", 1)
    assert settings.cassandra.replication_factor == 3


def test_a_cluster_survives_the_environment_of_a_child() -> None:
    assert read_settings(cluster().environment()) == cluster()


@pytest.mark.parametrize(
    ("variable", "value", "problem"),
    [
        ("PENSTOCK_STACK_KAFKA", "zookeeper", "stack.kafka must be kraft"),
        ("PENSTOCK_STACK_LISTEN", "0.0.0.0", "stack.listen must be 127.0.0.1"),
        ("PENSTOCK_HOSTS_KAFKA", "broker", "runs on this machine only, but hosts are given: {'kafka': 'broker'}"),
    ],
)
def test_a_cluster_that_cannot_be_is_refused(variable: str, value: str, problem: str) -> None:
    assert problem in wrong({"PENSTOCK_STACK_PROFILE": "cluster", variable: value})


def test_options_of_spark_are_a_table_in_the_file_and_json_in_the_environment(empty_folder: Path) -> None:
    (empty_folder / "penstock.toml").write_text('[spark.conf]\nspark.a.b = true\n"spark.c" = 1\n')
    settings = read_settings({})
    assert settings.spark.conf == {"spark.a.b": "true", "spark.c": "1"}
    assert read_settings(settings.environment()).spark.conf == settings.spark.conf


@pytest.mark.parametrize("value", ["spark.a=1", "[1]", "{"])
def test_options_of_spark_that_are_no_table(value: str) -> None:
    assert "PENSTOCK_SPARK_CONF" in wrong({"PENSTOCK_SPARK_CONF": value})


def test_certificates_without_encryption_are_refused() -> None:
    assert "ssl = true" in wrong({"PENSTOCK_CASSANDRA_SSL_CA_LOCATION": "ca.crt"})


@pytest.mark.parametrize(
    ("variable", "value", "problem"),
    [
        ("PENSTOCK_HOME", "~nobody-of-that-name/x", "in the home of nobody"),
        ("PENSTOCK_JAVA_HOME", "~nobody-of-that-name/x", "in the home of nobody"),
        ("PENSTOCK_HOME", "/srv/\udcff", "home holds a zero character, or bytes that are not UTF-8"),
        ("PENSTOCK_AIRFLOW_USERNAME", "\udcff", "not UTF-8"),
        ("PENSTOCK_SPARK_CONF", "[" * 100_000, "nested too deeply"),
    ],
)
def test_text_that_no_system_takes_is_refused(variable: str, value: str, problem: str) -> None:
    assert problem in wrong({variable: value})


@pytest.mark.parametrize("text", ['home = "a\\u0000b"', f"x = {'[' * 100_000}", "x = 1979-05-27T99:00:00Z"])
def test_a_file_of_settings_that_nobody_can_use_is_refused(empty_folder: Path, text: str) -> None:
    (empty_folder / "penstock.toml").write_text(text)
    assert wrong({})


@pytest.mark.parametrize("name", [".", "/dev/null/x", "x" * 300, "~nobody-of-that-name/x", "\udcff"])
def test_a_file_of_settings_that_cannot_be_read_is_named(name: str) -> None:
    assert wrong({"PENSTOCK_CONFIG": name})


def test_an_empty_home_on_the_command_line_is_not_the_working_folder() -> None:
    @click.command
    @with_settings
    def command(settings: Settings) -> None:
        raise AssertionError(settings.home)

    with pytest.raises(ConfigError, match="it names no folder"):
        CliRunner().invoke(command, ["--home", ""], catch_exceptions=False)


@pytest.mark.parametrize("setting", ["home", "cache"])
def test_a_folder_that_the_system_refuses_is_said_to_be_a_settings(tmp_path: Path, setting: str) -> None:
    (tmp_path / "file").touch()

    @click.command
    @with_settings
    def command(settings: Settings) -> None:
        (getattr(settings, setting) / "run").mkdir(parents=True)

    environ = {f"PENSTOCK_{setting.upper()}": str(tmp_path / "file")}
    with pytest.raises(FolderError, match=f"setting {setting} is .*file, which cannot be used: .*Not a directory"):
        CliRunner().invoke(command, env=environ, catch_exceptions=False)


def test_a_working_folder_that_is_gone_is_no_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    assert read_settings({"PENSTOCK_HOME": "/tmp/x"}).project == ""  # noqa: S108 - nothing is written there


def test_a_project_that_the_system_refuses_is_named() -> None:
    with pytest.raises(FolderError, match=r"setting project is aaa.*, which cannot be used: .*too long"):
        declaring_files(Settings.model_construct(project="a" * 300))
