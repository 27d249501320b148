"""What a person gives for a proposal: the address of an API, or a file with an answer of it, and who asks."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qsl, urlencode

from pydantic import ValidationError

from penstock.errors import ConfigError, ContractError
from penstock.source import ApiKey, Basic, Bearer, OAuth2ClientCredentials
from penstock.source.auth import Auth
from penstock.source.requests import checked_url

Params = dict[str, str | list[str]]

UNKNOWN_ADDRESS = "https://api.example.com/"
"""Stands in a declaration that was made of a file, until somebody writes the API's."""

_KINDS: Mapping[str, type[Bearer | ApiKey | Basic | OAuth2ClientCredentials]] = {
    "bearer": Bearer,
    "api-key": ApiKey,
    "basic": Basic,
    "oauth2": OAuth2ClientCredentials,
}
_FORMS = (
    "bearer:NAME; api-key:NAME,header=X-API-Key or api-key:NAME,param=key; basic:NAME,username=ME; "
    "oauth2:NAME,client_id=ID,token_url=URL. NAME is that of an environment variable, file:PATH or airflow:CONNECTION"
)
# Letters and digits of a parameter's name. A page's token is no secret.
_SECRETS = re.compile(
    r"(?!.*(page|next|continuation|sync))"
    r"(key|.*apikey|.*accesskey|.*appkey|.*subscriptionkey|.*token|.*secret|.*passw(or)?d|pwd|auth|authorization|appid|"
    r".*signature|sig|credentials?|jwt)"
)


@dataclass(frozen=True)
class Given:
    """Where the answer comes from. `file` is None where it is the API itself."""

    url: str
    params: Params = field(default_factory=dict)
    file: Path | None = None
    auth: Auth | None = None


def given(origin: str, auth: str = "") -> Given:
    """What `--from` and `--auth` say.

    Raises:
        ConfigError: neither an address nor a file, a secret in the address, or credentials of no kind.
    """
    who = read_auth(auth) if auth else None
    if "://" not in origin:
        file = Path(origin).expanduser()
        if not file.is_file():
            raise ConfigError(
                f"--from {origin}: there is no such file, and it is no address, which begins with https:// or http://"
            )
        return Given(UNKNOWN_ADDRESS, file=file, auth=who)
    if checked_url(origin).userinfo:
        raise ConfigError(
            "--from: the address holds a user name or a password, which would stand in the declaration. Leave them "
            "out, and name the secret: --auth basic:NAME,username=ME"
        )
    url, _, query = origin.partition("#")[0].partition("?")
    params = _params(query)
    for name in params:  # before any of them is repeated
        if is_secret(name):
            raise ConfigError(
                f"--from: the parameter {name!r} looks like a secret, which would stand in the declaration. Leave it "
                f"out, and name the secret: --auth api-key:NAME,param={name}"
            )
    # In a declaration braces are marks, and only some of them can be written as text.
    with_braces = {name: value for name, value in params.items() if "{" in f"{name}{value}"}
    url = (
        url.replace("{", "%7B").replace("}", "%7D") + ("?" if with_braces else "") + urlencode(with_braces, doseq=True)
    )
    plain = {name: value for name, value in params.items() if name not in with_braces}
    return Given(url, plain, auth=who)


def is_secret(name: str) -> bool:
    """Whether the value of a parameter of this name looks like a secret."""
    return _SECRETS.fullmatch(re.sub("[^a-z0-9]", "", name.lower())) is not None


def read_auth(text: str) -> Auth:
    """Credentials as the command line says them: `bearer:ISSUES_TOKEN`, `api-key:KEY,header=X-API-Key`.

    Raises:
        ConfigError: they are none. The text is not repeated, as it may be a secret that was given in place of a name.
    """
    kind, _, rest = text.partition(":")
    secret, *options = rest.split(",")
    try:
        values = dict(option.split("=", 1) for option in options)
        return _KINDS[kind](secret=secret, **values)
    except (KeyError, ValueError, TypeError, ContractError) as error:
        causes = error.errors(include_url=False, include_input=False) if isinstance(error, ValidationError) else []
        details = "; ".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in causes)
        raise ConfigError(f"--auth cannot be read{details and f' ({details})'}. There are: {_FORMS}") from None


def _params(query: str) -> Params:
    found: dict[str, list[str]] = {}
    for name, value in parse_qsl(query, keep_blank_values=True):
        found.setdefault(name, []).append(value)
    return {name: values[0] if len(values) == 1 else values for name, values in found.items()}
