"""The secrets of the stack: those of the settings, else made once and kept in a file that only its owner can read."""

import base64
import json
import secrets
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict, SecretStr, ValidationError

from penstock.config import Settings
from penstock.config.credentials import FernetKey, LoginName, Secret, SigningKey
from penstock.errors import ConfigError
from penstock.launcher.state import write, write_once
from penstock.locks import held

FILE_NAME = "secrets.json"
GIVEN_NAME = "passwords.json"
"""In the folder of the setting `credentials`: name -> password, of those that a process needs."""
OF_AIRFLOW = (
    *("postgres_password", "airflow_password"),
    *("airflow_jwt_secret", "airflow_secret_key", "airflow_fernet_key"),
)
"""The secrets of Airflow and its database, by their names in `Secrets`."""


class Secrets(BaseModel):
    """The passwords and keys of the local servers. Their values stay out of `repr`."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    postgres_password: Secret
    airflow_username: LoginName
    airflow_password: Secret
    airflow_jwt_secret: SigningKey
    airflow_fernet_key: FernetKey
    airflow_secret_key: SigningKey


class _Kept(Secrets):
    """The content of the file. A stack that was never secure has no passwords in it."""

    passwords: dict[str, Secret] = {}
    """Principal -> its password, as Kafka and Cassandra have it."""
    coming: dict[str, Secret] = {}
    """The same of a rotation that is not over: some servers may have these already."""
    postgres_former: tuple[Secret, ...] = ()
    """What Postgres may still have as its password, the newest first, of rotations that are not over."""


@dataclass(frozen=True)
class Passwords:
    """The passwords of a secure stack by the names of those who have one; those to come are empty between rotations."""

    now: Mapping[str, SecretStr]
    coming: Mapping[str, SecretStr]


def load_secrets(settings: Settings) -> Secrets:
    """The secrets of the settings; those that are empty there are of `home`, made at the first call (mode 0600).

    Where the settings have all, nothing is read or written. Callers at the same time get the same secrets. The data of
    Postgres and Airflow is bound to them: a lost file means new data.

    Raises:
        ConfigError: the file is there and cannot be used, or is gone while its data are there.
    """
    given = _given(settings)
    if len(given) == len(Secrets.model_fields):
        return Secrets.model_validate(given)
    kept = _kept(settings)
    return Secrets.model_validate({**{name: getattr(kept, name) for name in Secrets.model_fields}, **given})


def with_credentials(settings: Settings) -> Settings:
    """The same settings with the credentials of the local Airflow where they name no user of another one."""
    if settings.airflow.username:
        return settings
    own = load_secrets(settings)
    named = {"username": own.airflow_username, "password": own.airflow_password}
    return settings.model_copy(update={"airflow": settings.airflow.model_copy(update=named)})


def passwords(settings: Settings, names: Iterable[str]) -> Passwords:
    """The passwords of these names; one that has none gets one, and keeps it until it is rotated.

    Raises:
        ConfigError: they are made elsewhere, and this process is not given all of them.
    """
    if settings.credentials:
        return Passwords(_given_passwords(Path(settings.credentials) / GIVEN_NAME, names), {})
    file = settings.home / FILE_NAME
    kept = _kept(settings)
    absent = [name for name in names if name not in kept.passwords]
    if absent:
        with _alone(settings):
            kept = _kept(settings)
            fresh = {name: SecretStr(secrets.token_urlsafe(32)) for name in absent}
            kept = kept.model_copy(update={"passwords": {**fresh, **kept.passwords}})
            write(file, _as_json(kept), durable=True)
    return Passwords(kept.passwords, kept.coming)


def begin_rotation(settings: Settings, names: Iterable[str]) -> Passwords:
    """Keeps a new password for each of these names beside the one that it has. What a rotation that was killed had
    begun with is gone on with, for some servers may have it.

    Raises:
        ConfigError: they are made elsewhere.
    """
    if settings.credentials:
        raise ConfigError(
            f"this process is given its passwords ({settings.credentials}), and changes none. In Compose: "
            "docker compose run --rm admission secrets rotate"
        )
    passwords(settings, names)
    with _alone(settings):
        kept = _kept(settings)
        coming = kept.coming or {name: SecretStr(secrets.token_urlsafe(32)) for name in names}
        write(settings.home / FILE_NAME, _as_json(kept.model_copy(update={"coming": coming})), durable=True)
    return Passwords(kept.passwords, coming)


def end_rotation(settings: Settings) -> None:
    """The new passwords are those that count; the old ones are forgotten."""
    with _alone(settings):
        kept = _kept(settings)
        done = {"passwords": {**kept.passwords, **kept.coming}, "coming": {}}
        write(settings.home / FILE_NAME, _as_json(kept.model_copy(update=done)), durable=True)


def renew(settings: Settings, names: Iterable[str]) -> list[str]:
    """Gives a new value, which counts at once, to secrets of these names: fields of `Secrets`, or names that have a
    password. Returns the names without those whose secret the settings give.

    Airflow's former key stays beside the new one, and Postgres' former password is remembered, until `forget_former`.
    May be done again before that.
    """
    own = [name for name in names if name not in _given(settings)]
    with _alone(settings):
        kept = _kept(settings)
        fresh = {name: value for name, value in _made().items() if name in own}
        if key := fresh.get("airflow_fernet_key"):  # of several the first one encrypts, and each decrypts
            fresh["airflow_fernet_key"] = f"{key},{kept.airflow_fernet_key.get_secret_value()}"
        former = (kept.postgres_password,) if "postgres_password" in fresh else ()
        words = {name: SecretStr(secrets.token_urlsafe(32)) for name in own if name not in fresh}
        changed = {
            **{name: SecretStr(value) for name, value in fresh.items()},
            "postgres_former": (*former, *kept.postgres_former),
            "passwords": {**kept.passwords, **words},
        }
        write(settings.home / FILE_NAME, _as_json(kept.model_copy(update=changed)), durable=True)
    return own


def forget_former(settings: Settings) -> None:
    """Ends what `renew` began: Postgres has its new password, and nothing is encrypted with a former key."""
    with _alone(settings):
        kept = _kept(settings)
        newest = kept.airflow_fernet_key.get_secret_value().partition(",")[0]
        done = {"postgres_former": (), "airflow_fernet_key": SecretStr(newest)}
        write(settings.home / FILE_NAME, _as_json(kept.model_copy(update=done)), durable=True)


def postgres_passwords(settings: Settings) -> tuple[SecretStr, ...]:
    """The password of Postgres; then former ones that it may still have, where a rotation is not over."""
    given = settings.secrets.postgres_password
    if given.get_secret_value():
        return (given,)
    kept = _kept(settings)
    return (kept.postgres_password, *kept.postgres_former)


def made(settings: Settings) -> bool:
    """Whether there are secrets already, so that `load_secrets` would make none."""
    return len(_given(settings)) == len(Secrets.model_fields) or (settings.home / FILE_NAME).exists()


def _given_passwords(file: Path, names: Iterable[str]) -> dict[str, SecretStr]:
    try:
        found = json.loads(file.read_text("utf-8"))
        return {name: SecretStr(found[name]) for name in names}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(
            f"{file} does not have the passwords of {', '.join(names)} ({type(error).__name__}): this process is "
            "no such client, or nobody has given it its credentials yet (`penstock secrets distribute`)"
        ) from None


def _given(settings: Settings) -> dict[str, str | SecretStr]:
    return {name: value for name, value in settings.secrets if _is_given(value)}


def _is_given(value: str | SecretStr) -> bool:
    return bool(value.get_secret_value() if isinstance(value, SecretStr) else value)


def _alone(settings: Settings) -> AbstractContextManager[None]:
    """One process at a time changes the file."""
    (settings.home / "run").mkdir(parents=True, exist_ok=True)
    return held(settings.home / "run" / "secrets.lock", timeout_s=None)


def _as_json(kept: _Kept) -> str:
    values = kept.model_dump(exclude_defaults=True)
    return json.dumps(values, indent=2, default=lambda secret: secret.get_secret_value())


def _kept(settings: Settings) -> _Kept:
    file = settings.home / FILE_NAME
    _check_not_lost(settings, file)
    try:
        return _Kept.model_validate_json(write_once(file, json.dumps(_made(), indent=2)))
    except UnicodeDecodeError as error:
        raise ConfigError(
            f"{file} is not UTF-8, so it is not ours. Restore it, or start anew: penstock down --delete-data"
        ) from error
    except ValidationError as error:
        fields = sorted({".".join(map(str, problem["loc"])) or "the whole" for problem in error.errors()})
        raise ConfigError(
            f"{file} cannot be used ({', '.join(fields)}). Restore it, or start anew: penstock down --delete-data"
        ) from None


def _check_not_lost(settings: Settings, file: Path) -> None:
    """New secrets for data that are bound to others would let nobody in, and be shown as if they did."""
    bound = "postgres_password" not in _given(settings) and any((settings.home / "data").glob("postgres/*"))
    if bound and not file.exists():
        raise ConfigError(
            f"{file} is not there, and the data beside it can be opened with its secrets only. Put it back, e.g. that "
            "of a backup (tar -xzf FILE secrets.json), or start anew: penstock down --delete-data"
        )


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
