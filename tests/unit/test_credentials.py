"""Every secret is taken as it is given, or refused without being shown; and what it is put into does not change it."""

import os
import re
import traceback
from configparser import ConfigParser
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st
from pydantic import SecretStr
from sqlalchemy import make_url

from penstock.config import SecretSettings, Settings, read_settings
from penstock.config.names import leaves, variable_of
from penstock.errors import ConfigError
from penstock.network import tls
from penstock.servers.airflow import Components, configuration
from penstock.stream.connectors.cassandra import spark_conf
from penstock.stream.connectors.kafka import kafka_options
from penstock.stream.jvm import AT_START, SECRET, shown
from tests.certificates import Authority
from tests.secured import CORE, NASTY, changed, secured

FERNET = "PENSTOCK_SECRETS_AIRFLOW_FERNET_KEY"
SECRETS = sorted(variable_of(path) for path, value in leaves(Settings()) if isinstance(value, SecretStr))
NAMES = sorted(variable_of(path) for path, _ in leaves(Settings()) if path[-1].endswith("username"))
SIGNING = ["PENSTOCK_SECRETS_AIRFLOW_JWT_SECRET", "PENSTOCK_SECRETS_AIRFLOW_SECRET_KEY"]
FREE = sorted({*SECRETS} - {*SIGNING, FERNET})

printable = st.text(st.characters(exclude_categories=["Cc", "Cs"]))
for_airflow = printable.filter(lambda text: "$" not in text and not text.startswith("~") and text == text.strip())


def refused(variable: str, value: str) -> str:
    """The whole traceback, as somebody may find it in a log."""
    with pytest.raises(ConfigError, match="is not allowed") as caught:
        read_settings({variable: value})
    return "".join(traceback.format_exception(caught.value))


def kept(variable: str, value: str) -> str:
    """What arrives in a child that is given these settings."""
    return read_settings(read_settings({variable: value}).environment()).environment()[variable]


@given(printable, st.sampled_from(FREE))
def test_every_printable_password_reaches_a_child_as_it_is(password: str, variable: str) -> None:
    assert kept(variable, password) == password


@given(for_airflow, st.sampled_from(SIGNING))
def test_every_key_that_airflow_leaves_alone_reaches_a_child_as_it_is(key: str, variable: str) -> None:
    assert kept(variable, key) == key


@pytest.mark.parametrize("variable", SECRETS)
@pytest.mark.parametrize("end", ["\n", "\r", "\0", "\t", "\x7f", "\x85", "\udce9"])
def test_a_secret_that_no_server_takes_is_refused_and_not_shown(variable: str, end: str) -> None:
    said = refused(variable, CORE + end)
    assert f"(environment variable {variable}) is a secret" in said
    assert CORE not in said


@pytest.mark.parametrize("variable", NAMES)
def test_a_user_name_of_two_lines_is_refused(variable: str) -> None:
    assert "control character" in refused(variable, "a\nb")


@pytest.mark.parametrize("variable", SIGNING)
@pytest.mark.parametrize("value", [f"{CORE}$HOME", f"${{HOME}}{CORE}", f"~{CORE}", f"{CORE} "])
def test_what_airflow_would_replace_is_refused(variable: str, value: str) -> None:
    said = refused(variable, value)
    assert "leave them out" in said
    assert CORE not in said


@pytest.mark.parametrize("name", ["a:b", "a,b", " a", "$HOME", "~a"])
def test_a_name_that_is_none_in_airflows_list_is_refused(name: str) -> None:
    refused("PENSTOCK_SECRETS_AIRFLOW_USERNAME", name)


@pytest.mark.parametrize("key", [CORE, CORE.ljust(44, "="), "é" * 44, f"{'0' * 43}=,{CORE}"])
def test_a_fernet_key_that_is_none_is_refused_with_the_way_to_make_one(key: str) -> None:
    said = refused(FERNET, key)
    assert "head -c 32 /dev/urandom" in said
    assert CORE not in said


@pytest.mark.parametrize("password", ["md5" + "0a" * 16, f"SCRAM-SHA-256$4096:{CORE}"])
def test_a_password_that_postgres_takes_for_a_hash_is_refused(password: str) -> None:
    assert "hash of another password" in refused("PENSTOCK_SECRETS_POSTGRES_PASSWORD", password)


@pytest.mark.parametrize("key", ["-_" * 21 + "0=", f"{'0' * 43}=,{'1' * 42}0="])
def test_one_fernet_key_and_several_are_taken(key: str) -> None:
    assert kept(FERNET, key) == key


@given(printable.filter(bool), for_airflow.filter(bool))
def test_airflow_is_given_every_password_and_key_whole(password: str, key: str) -> None:
    secrets = SecretSettings.model_validate(
        {
            "postgres_password": password,
            "airflow_username": "admin",
            "airflow_password": password,
            "airflow_jwt_secret": key,
            "airflow_secret_key": key,
            "airflow_fernet_key": "0" * 43 + "=",
        }
    )
    stack = Settings(secrets=secrets).resolved()
    read = ConfigParser()
    read.read_string(configuration(Components(stack).options()))
    database = read["database"]["sql_alchemy_conn"]
    assert make_url(database).password == password
    assert read["api_auth"]["jwt_secret"] == read["api"]["secret_key"] == key
    for value in (database, key):  # what Airflow does with each value of its file
        assert os.path.expanduser(os.path.expandvars(value)) == value
    # What Airflow does for Alembic: `_get_alembic_config` of 3.3.2.
    ini = ConfigParser()
    ini.read_dict({"alembic": {"sqlalchemy.url": database.replace("%", "%%")}})
    assert ini["alembic"]["sqlalchemy.url"] == database


@examples(max_examples=10, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(printable.filter(bool))
def test_a_key_file_is_opened_with_every_password(tmp_path: Path, password: str) -> None:
    certificate, key = Authority(tmp_path).sign("client", password)
    who = tls.Identity(certificate, key, password)
    tls.client_context("", who, verify_hostname=True)
    assert "BEGIN PRIVATE KEY" in who.key_pem()


def test_a_password_that_is_too_long_for_a_key_is_not_shown(tmp_path: Path) -> None:
    certificate, key = Authority(tmp_path).sign("client", "short")
    with pytest.raises(ConfigError, match="cannot be used") as caught:
        tls.client_context("", tls.Identity(certificate, key, CORE * 1_000), verify_hostname=True)
    assert CORE not in "".join(traceback.format_exception(caught.value))


def test_every_option_of_spark_that_holds_a_secret_is_known_as_one(settings: Settings) -> None:
    """What is known as secret is on no command line and no page."""
    guarded = changed(secured(settings), cassandra={"password": NASTY})
    options = {**spark_conf(guarded.cassandra, settings.home), **kafka_options(guarded.kafka)}
    store_password = options["spark.cassandra.connection.ssl.keyStore.password"]
    holding = {name for name, value in options.items() if holds(value, ("PRIVATE KEY", CORE, store_password))}
    assert len(holding) == 4
    assert {name for name in holding if not re.search(SECRET, name)} == set()
    assert not shown(options).keys() & holding


# Of Azure, Amazon, Google, Snowflake, a store of keys, and one that nobody has thought of.
SECRET_NAMES = (
    "spark.hadoop.fs.azure.sas.container.account.blob.core.windows.net",
    "spark.hadoop.fs.azure.sas.fixed.token",
    "spark.hadoop.fs.azure.account.key.account.blob.core.windows.net",
    "spark.hadoop.fs.s3a.access.key",
    "spark.hadoop.fs.s3a.encryption.key",
    "spark.hadoop.fs.gs.auth.service.account.private.key",
    "spark.hadoop.hadoop.security.credential.provider.path",
    "spark.snowflake.pem_passphrase",
    "spark.ssl.ui.keyPassword",
    "spark.db.pwd",
)


@pytest.mark.parametrize("name", [*SECRET_NAMES, "spark.my.pin"])
def test_only_what_the_start_needs_is_on_sparks_command_line(name: str) -> None:
    assert shown({name: CORE, "spark.driver.memory": "1g"}) == {"spark.driver.memory": "1g"}


@pytest.mark.parametrize("name", SECRET_NAMES)
def test_options_with_usual_names_of_secrets_are_hidden_on_sparks_pages(name: str) -> None:
    assert re.search(SECRET, name)


@pytest.mark.parametrize("name", [*sorted(AT_START), "spark.sql.session.timeZone", "spark.app.id", "spark.task.cpus"])
def test_options_without_a_secret_are_shown_on_sparks_pages(name: str) -> None:
    assert not re.search(SECRET, name)


@pytest.mark.parametrize("value", ["https://me:secret@repository.corp/maven", "https://a/x.jar,https://token@b/y.jar"])
def test_address_with_credentials_is_refused_where_only_the_command_line_could_carry_it(value: str) -> None:
    with pytest.raises(ConfigError, match=r"spark\.jars\.repositories") as caught:
        shown({"spark.jars.repositories": value})
    assert value not in str(caught.value)


def holds(value: str, secrets: tuple[str, ...]) -> bool:
    return any(secret in value for secret in secrets)


@pytest.mark.parametrize(
    "text",
    [
        f"secrets = '{CORE}'",
        f"[secrets]\npostgres_password = ['{CORE}']",
        f"[spark]\nconf = ['{CORE}']",
        f"[source]\nurls = ['{CORE}']",
        f"[airflow]\nurl = {{ x = '{CORE}' }}",
        f"[kafka]\nsasl_password = '{CORE}",
        f"[cassandra]\npasswort = '{CORE}'",
    ],
)
def test_no_error_shows_a_secret_of_the_file(tmp_path: Path, text: str) -> None:
    file = tmp_path / "penstock.toml"
    file.write_text(text)
    with pytest.raises(ConfigError) as caught:
        read_settings({"PENSTOCK_CONFIG": str(file)})
    assert CORE not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize("variable", ["PENSTOCK_SPARK_CONF", *SECRETS])
def test_no_error_shows_a_secret_of_the_environment(variable: str) -> None:
    assert CORE not in refused(variable, f'{{"spark.hadoop.fs.s3a.secret.key": "{CORE}\n')


def test_no_repr_shows_an_address_or_option_that_may_hold_a_secret() -> None:
    found = read_settings(
        {
            "PENSTOCK_SOURCE_URL_USERS": f"https://host/?key={CORE}",
            "PENSTOCK_AIRFLOW_URL": f"https://me:{CORE}@host",
            "PENSTOCK_SPARK_CONF": f'{{"spark.hadoop.fs.s3a.secret.key": "{CORE}"}}',
        }
    )
    assert CORE not in repr(found)
