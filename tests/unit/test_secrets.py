"""Secrets are made once, seen by their owner only, and shown nowhere."""

import base64
from pathlib import Path

import pytest

from penstock.errors import ConfigError
from penstock.services.secrets import FILE_NAME, load_secrets


def test_the_same_home_keeps_its_secrets(tmp_path: Path) -> None:
    assert load_secrets(tmp_path) == load_secrets(tmp_path)


def test_two_homes_share_no_secret(tmp_path: Path) -> None:
    one, other = load_secrets(tmp_path / "one"), load_secrets(tmp_path / "other")
    assert not set(one.model_dump().values()) & set(other.model_dump(exclude={"airflow_username"}).values())


def test_only_the_owner_may_read_the_file(tmp_path: Path) -> None:
    load_secrets(tmp_path)
    assert (tmp_path / FILE_NAME).stat().st_mode & 0o777 == 0o600


def test_no_secret_shows_in_repr(tmp_path: Path) -> None:
    secrets = load_secrets(tmp_path)
    assert secrets.airflow_password.get_secret_value() not in repr(secrets)
    assert secrets.postgres_password.get_secret_value() not in str(secrets)


def test_fernet_key_is_32_bytes(tmp_path: Path) -> None:
    assert len(base64.urlsafe_b64decode(load_secrets(tmp_path).airflow_fernet_key.get_secret_value())) == 32


def test_making_leaves_nothing_but_the_file(tmp_path: Path) -> None:
    load_secrets(tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == [FILE_NAME]


@pytest.mark.parametrize("content", ["", "{", "[]", '{"unknown": "x"}', '{"postgres_password": "x"}'])
def test_a_broken_or_incomplete_file_is_named(tmp_path: Path, content: str) -> None:
    (tmp_path / FILE_NAME).write_text(content)
    with pytest.raises(ConfigError, match=FILE_NAME):
        load_secrets(tmp_path)
