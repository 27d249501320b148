"""How a source proves who asks: each kind names its secret, and none holds it.

A secret's name is that of an entry in the setting `source.secrets` or of an environment variable; `file:/run/token` is
the content of a file, and `airflow:NAME` the password of Airflow's connection of that name. See `secrets`.
"""

from typing import Annotated, Self

from pydantic import ConfigDict, StringConstraints, model_validator
from pydantic.dataclasses import dataclass

from penstock.errors import ContractError

_EXACT = ConfigDict(extra="forbid")
SecretName = Annotated[str, StringConstraints(pattern=r"^([A-Za-z_][A-Za-z0-9_]*|file:.+|airflow:.+)$")]
"""The pattern refuses most of what is a secret itself and was written here by mistake."""


@dataclass(frozen=True, config=_EXACT, kw_only=True)
class Bearer:
    """`Authorization: Bearer` and the secret."""

    secret: SecretName


@dataclass(frozen=True, config=_EXACT, kw_only=True)
class ApiKey:
    """The secret in a header, or in a parameter of the query; exactly one of both is named."""

    secret: SecretName
    header: str = ""
    param: str = ""

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        if bool(self.header) == bool(self.param):
            raise ContractError("ApiKey: name either the header= or the param= that the key is sent in")
        return self


@dataclass(frozen=True, config=_EXACT, kw_only=True)
class Basic:
    """User name and password by HTTP's basic authentication; the password is the secret."""

    username: str
    secret: SecretName


@dataclass(frozen=True, config=_EXACT, kw_only=True)
class OAuth2ClientCredentials:
    """A token of `token_url` for the client's id and secret (RFC 6749, section 4.4), asked for anew when it expires.

    Only `token_url` gets the client's secret, by basic authentication; only the API gets the token.
    """

    token_url: str
    client_id: str
    secret: SecretName
    scope: str = ""


Auth = Bearer | ApiKey | Basic | OAuth2ClientCredentials
