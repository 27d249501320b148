"""What each container of a secure stack is given: certificates and passwords of its own, and no others.

One container makes all of them in its home, and puts into a folder for each other one what that one needs. There it is
the folder that the setting `credentials` names; nothing is made or renewed in it by whom it was given to.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import SecretStr

from penstock.config import Settings
from penstock.launcher.home import Home
from penstock.launcher.state import write
from penstock.servers import authority
from penstock.servers.access import SPARK, secrets_of
from penstock.servers.authority import CASSANDRA, KAFKA
from penstock.servers.data_format import require_secure
from penstock.servers.principals import Principal
from penstock.servers.secrets import GIVEN_NAME


@dataclass(frozen=True)
class Share:
    """Names of what one container is given, beside the certificate of the authority."""

    certificates: tuple[str, ...] = ()
    passwords: tuple[str, ...] = ()


def _of(who: Principal, *passwords: str) -> Share:
    return Share((who,), (who, *passwords))


SHARES: Mapping[str, Share] = {
    KAFKA: Share((KAFKA, Principal.PROBE)),
    CASSANDRA: Share((CASSANDRA, Principal.PROBE), (Principal.PROBE,)),
    "spark-master": Share(passwords=(SPARK,)),
    "spark-worker": Share(passwords=(SPARK,)),
    "stream": _of(Principal.STREAM, SPARK),
    "console": _of(Principal.CONSOLE),
    "airflow-scheduler": _of(Principal.INGEST),
    "operator": _of(Principal.OPERATOR),
}
"""By the name of the service that runs there; `operator` is the container of a person's commands."""


def distribute(settings: Settings, folder: Path) -> list[str]:
    """Makes what is absent, renews certificates that end soon, and puts each share into its folder below this one.

    Returns the names of the certificates that are new.

    Raises:
        ConfigError: the settings are those of an open stack, or something that is there cannot be used.
    """
    require_secure(settings)
    Home(settings.home).make()
    fresh = authority.certify(settings)
    words = secrets_of(settings).now
    for name, share in SHARES.items():
        _put(settings, folder / name, share, words)
    return fresh


def _put(settings: Settings, folder: Path, share: Share, words: Mapping[str, SecretStr]) -> None:
    """What the container no longer needs is deleted."""
    identities = [authority.identity(settings, name) for name in share.certificates]
    files = [authority.trusted(settings), *(file for one in identities for file in (one.key, one.certificate))]
    content = {file.name: file.read_text("ascii") for file in files}
    content[GIVEN_NAME] = json.dumps({name: words[name].get_secret_value() for name in share.passwords})
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    for name, text in content.items():
        write(folder / name, text)
    for former in folder.iterdir():
        if former.name not in content:
            former.unlink()
