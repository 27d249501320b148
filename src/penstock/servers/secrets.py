"""The secrets of the stack: those of the settings, else made once and kept in a file that only its owner can read."""

import base64
import json
import secrets
from pathlib import Path

from pydantic import BaseModel, ConfigDict, SecretStr, ValidationError

from penstock.config import Settings
from penstock.config.credentials import FernetKey, LoginName, Secret, SigningKey
from penstock.errors import ConfigError
from penstock.launcher.state import write_once

FILE_NAME = "secrets.json"


class Secrets(BaseModel):
    """What the local servers prove themselves with. Their values stay out of `repr`."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    postgres_password: Secret
    airflow_username: LoginName
    airflow_password: Secret
    airflow_jwt_secret: SigningKey
    airflow_fernet_key: FernetKey
    airflow_secret_key: SigningKey


def load_secrets(settings: Settings) -> Secrets:
    """The secrets of the settings; those that are empty there are of `home`, made at the first call (mode 0600).

    Where the settings have all, nothing is read or written. Callers at the same time get the same secrets. The data of
    Postgres and Airflow is bound to them: a lost file means new data.

    Raises:
        ConfigError: the file is there and cannot be used.
    """
    given = _given(settings)
    if len(given) == len(Secrets.model_fields):
        return Secrets.model_validate(given)
    return _kept(settings.home / FILE_NAME).model_copy(update=given)


def with_credentials(settings: Settings) -> Settings:
    """The same settings with the credentials of the local Airflow where they name no user of another one."""
    if settings.airflow.username:
        return settings
    own = load_secrets(settings)
    named = {"username": own.airflow_username, "password": own.airflow_password}
    return settings.model_copy(update={"airflow": settings.airflow.model_copy(update=named)})


def made(settings: Settings) -> bool:
    """Whether there are secrets already, so that `load_secrets` would make none."""
    return len(_given(settings)) == len(Secrets.model_fields) or (settings.home / FILE_NAME).exists()


def _given(settings: Settings) -> dict[str, str | SecretStr]:
    return {name: value for name, value in settings.secrets if _is_given(value)}


def _is_given(value: str | SecretStr) -> bool:
    return bool(value.get_secret_value() if isinstance(value, SecretStr) else value)


def _kept(file: Path) -> Secrets:
    try:
        return Secrets.model_validate_json(write_once(file, json.dumps(_made(), indent=2)))
    except UnicodeDecodeError as error:
        raise ConfigError(
            f"{file} is not UTF-8, so it is not ours. Restore it, or start anew: penstock down --delete-data"
        ) from error
    except ValidationError as error:
        fields = sorted({".".join(map(str, problem["loc"])) or "the whole" for problem in error.errors()})
        raise ConfigError(
            f"{file} cannot be used ({', '.join(fields)}). Restore it, or start anew: penstock down --delete-data"
        ) from None


def _made() -> dict[str, str]:
    return {
        "postgres_password": secrets.token_urlsafe(32),
        "airflow_username": "admin",
        "airflow_password": secrets.token_hex(8),  # short: a person types it
        "airflow_jwt_secret": secrets.token_urlsafe(32),
        # 32 random bytes in URL-safe base64: https://github.com/fernet/spec/blob/master/Spec.md
        "airflow_fernet_key": base64.urlsafe_b64encode(secrets.token_bytes(32)).decode(),
        "airflow_secret_key": secrets.token_urlsafe(32),
    }
