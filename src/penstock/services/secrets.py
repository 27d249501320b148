"""The secrets of the local stack: made once, kept in one file that only its owner can read."""

import base64
import json
import os
import secrets
from pathlib import Path
from tempfile import NamedTemporaryFile

from pydantic import BaseModel, ConfigDict, SecretStr, ValidationError

from penstock.errors import ConfigError

FILE_NAME = "secrets.json"


class Secrets(BaseModel):
    """What the local servers prove themselves with. Their values stay out of `repr`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    postgres_password: SecretStr
    airflow_username: str
    airflow_password: SecretStr
    airflow_jwt_secret: SecretStr
    airflow_fernet_key: SecretStr
    airflow_secret_key: SecretStr


def load_secrets(home: Path) -> Secrets:
    """The secrets of this `home`, made at the first call; the file has mode 0600.

    Callers at the same time get the same secrets. The data of Postgres and Airflow is bound to them: a lost file means
    new data.

    Raises:
        ConfigError: the file is there and cannot be used.
    """
    file = home / FILE_NAME
    if not file.exists():
        _create(file)
    try:
        return Secrets.model_validate_json(file.read_bytes())
    except ValidationError as error:
        fields = sorted({".".join(map(str, problem["loc"])) or "the whole" for problem in error.errors()})
        raise ConfigError(
            f"{file} cannot be used ({', '.join(fields)}). Restore it, or start anew: penstock down --delete-data"
        ) from None


def _create(file: Path) -> None:
    """Writes the file whole or not at all; whoever is first wins."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with NamedTemporaryFile(dir=file.parent, prefix=f".{file.name}.") as draft:  # created with mode 0600
        draft.write(json.dumps(_made(), indent=2).encode())
        draft.flush()
        os.fsync(draft.fileno())
        try:
            file.hardlink_to(draft.name)
        except FileExistsError:
            return


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
