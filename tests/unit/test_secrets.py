"""Secrets are made once, seen by their owner only, and shown nowhere."""

import base64
from pathlib import Path

import pytest
from pydantic import SecretStr

from penstock.config import ConsoleSettings, SecretSettings, Settings
from penstock.errors import ConfigError
from penstock.servers import console_token
from penstock.servers.access import SPARK, secrets_of
from penstock.servers.secrets import (
    FILE_NAME,
    OF_AIRFLOW,
    Secrets,
    forget_former,
    load_secrets,
    postgres_passwords,
    renew,
)


def test_the_same_home_keeps_its_secrets(tmp_path: Path) -> None:
    assert load_secrets(Settings(home=tmp_path)) == load_secrets(Settings(home=tmp_path))


def test_two_homes_share_no_secret(tmp_path: Path) -> None:
    one, other = load_secrets(Settings(home=tmp_path / "one")), load_secrets(Settings(home=tmp_path / "other"))
    assert not set(one.model_dump().values()) & set(other.model_dump(exclude={"airflow_username"}).values())


def test_only_the_owner_may_read_the_file(tmp_path: Path) -> None:
    load_secrets(Settings(home=tmp_path))
    assert (tmp_path / FILE_NAME).stat().st_mode & 0o777 == 0o600


def test_no_secret_shows_in_repr(tmp_path: Path) -> None:
    secrets = load_secrets(Settings(home=tmp_path))
    assert secrets.airflow_password.get_secret_value() not in repr(secrets)
    assert secrets.postgres_password.get_secret_value() not in str(secrets)


def test_fernet_key_is_32_bytes(tmp_path: Path) -> None:
    assert (
        len(base64.urlsafe_b64decode(load_secrets(Settings(home=tmp_path)).airflow_fernet_key.get_secret_value())) == 32
    )


def test_making_leaves_nothing_but_the_file(tmp_path: Path) -> None:
    load_secrets(Settings(home=tmp_path))
    assert [file.name for file in tmp_path.iterdir()] == [FILE_NAME]


@pytest.mark.parametrize("content", ["\udcff", "", "{", "[]", '{"unknown": "x"}', '{"postgres_password": "x"}'])
def test_a_broken_or_incomplete_file_is_named(tmp_path: Path, content: str) -> None:
    (tmp_path / FILE_NAME).write_text(content, errors="surrogateescape")
    with pytest.raises(ConfigError, match=FILE_NAME):
        load_secrets(Settings(home=tmp_path))


def test_lost_secrets_are_not_made_anew_for_data_that_are_bound_to_them(tmp_path: Path) -> None:
    (tmp_path / "data" / "postgres" / "base").mkdir(parents=True)
    with pytest.raises(ConfigError, match=r"secrets\.json is not there.*Put it back"):
        load_secrets(Settings(home=tmp_path))
    assert not (tmp_path / FILE_NAME).exists()


def test_data_with_a_password_of_the_settings_are_not_bound_to_the_file(tmp_path: Path) -> None:
    (tmp_path / "data" / "postgres" / "base").mkdir(parents=True)
    given = SecretSettings(postgres_password=SecretStr("given"))
    assert load_secrets(Settings(home=tmp_path, secrets=given)).airflow_password.get_secret_value()


def test_every_secret_may_come_from_the_settings_and_then_nothing_is_written(tmp_path: Path) -> None:
    given = {**dict.fromkeys(Secrets.model_fields, "s3"), "airflow_fernet_key": "0" * 43 + "="}
    secrets = load_secrets(Settings(home=tmp_path, secrets=SecretSettings.model_validate(given)))
    assert secrets == Secrets.model_validate(given)
    assert not list(tmp_path.iterdir())


def test_a_secret_of_the_settings_goes_before_the_kept_one(tmp_path: Path) -> None:
    kept = load_secrets(Settings(home=tmp_path))
    mixed = load_secrets(Settings(home=tmp_path, secrets=SecretSettings(airflow_username="ada")))
    assert mixed == kept.model_copy(update={"airflow_username": "ada"})


def test_new_secrets_count_at_once_and_the_rest_stays(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    before, words = load_secrets(settings), secrets_of(settings).now
    assert renew(settings, [*OF_AIRFLOW, SPARK]) == [*OF_AIRFLOW, SPARK]
    after = load_secrets(settings)
    assert {name for name in Secrets.model_fields if getattr(after, name) == getattr(before, name)} == {
        "airflow_username"
    }
    assert {name for name, word in secrets_of(settings).now.items() if word != words[name]} == {SPARK}
    assert (tmp_path / FILE_NAME).stat().st_mode & 0o777 == 0o600


def test_what_is_still_needed_of_former_secrets_is_kept_until_it_is_forgotten(tmp_path: Path) -> None:
    """The second call is that after one which was killed."""
    settings = Settings(home=tmp_path)
    seen = [load_secrets(settings)]
    for _ in range(2):
        renew(settings, OF_AIRFLOW)
        seen.insert(0, load_secrets(settings))
    assert postgres_passwords(settings) == tuple(one.postgres_password for one in seen)
    keys = seen[0].airflow_fernet_key.get_secret_value().split(",")
    assert keys[1:] == seen[1].airflow_fernet_key.get_secret_value().split(",")
    assert len({*keys}) == 3
    forget_former(settings)
    assert postgres_passwords(settings) == (seen[0].postgres_password,)
    assert load_secrets(settings).airflow_fernet_key.get_secret_value() == keys[0]


def test_a_secret_of_the_settings_is_not_renewed(tmp_path: Path) -> None:
    given = SecretSettings(postgres_password=SecretStr("given"), airflow_fernet_key=SecretStr("0" * 43 + "="))
    settings = Settings(home=tmp_path, secrets=given)
    assert renew(settings, OF_AIRFLOW) == ["airflow_password", "airflow_jwt_secret", "airflow_secret_key"]
    assert postgres_passwords(settings) == (given.postgres_password,)
    assert load_secrets(settings).airflow_fernet_key == given.airflow_fernet_key


def test_a_console_gets_another_token_unless_the_settings_give_it(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    before = console_token.token(settings)
    assert console_token.renew(settings)
    assert console_token.token(settings) != before
    assert (tmp_path / "data" / "console" / "token").stat().st_mode & 0o777 == 0o600
    given = settings.model_copy(update={"console": ConsoleSettings(token=SecretStr("given"))})
    assert not console_token.renew(given)
    assert console_token.token(given) == "given"
