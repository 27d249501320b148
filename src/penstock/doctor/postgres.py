"""The Postgres that the stack's Airflow keeps its metadata in: its credentials and its version."""

from penstock.config import Settings
from penstock.doctor.finding import Finding, failed, note
from penstock.doctor.versions import POSTGRES, Line
from penstock.errors import ConfigError, ServiceError
from penstock.servers.postgres import connect
from penstock.servers.secrets import FILE_NAME, made


def postgres(settings: Settings, line: Line = POSTGRES) -> Finding:
    """Checks the version of a Postgres that runs. Makes no password where there is none yet."""
    if not made(settings):
        return note("postgres", "something answers, but no password for it was made yet; `penstock up` makes it")
    try:
        with connect(settings) as connection:
            major, minor = divmod(connection.info.server_version, 10_000)
    except (ConfigError, ServiceError) as error:
        fix = (
            f"Is it this stack's? Its password is PENSTOCK_SECRETS_POSTGRES_PASSWORD, or in {settings.home / FILE_NAME}"
        )
        return failed("postgres", str(error), fix)
    return line.judged("postgres", f"{major}.{minor}")
