"""The whole stack shows none of its secrets to those who can only look."""

from pydantic import SecretStr

from penstock.config import Settings
from penstock.servers.secrets import load_secrets
from tests import revealed


def test_no_secret_can_be_read_from_a_process_or_a_log(stack_settings: Settings) -> None:
    values = [value for _, value in load_secrets(stack_settings) if isinstance(value, SecretStr)]
    secrets = [value.get_secret_value() for value in values]
    assert len(secrets) == 5
    assert revealed.by_processes(stack_settings.home, secrets) == []
    assert revealed.by_files([stack_settings.home / "logs"], secrets) == []
