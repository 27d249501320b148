"""The token of OAuth 2's client credentials: asked for when it is needed, kept until shortly before it expires."""

from typing import Any

from penstock.errors import SourceAnswerError
from penstock.source.auth import OAuth2ClientCredentials
from penstock.source.client import Client, UnusableError
from penstock.source.pace import Clock
from penstock.source.places import at
from penstock.source.requests import Request, basic, checked_url
from penstock.source.secrets import Secrets
from penstock.urls import shown

_SPARE_S = 30
"""A token is not used in its last seconds, so that none expires on its way."""
_DEFAULT_LIFE_S = 300


class Token:
    """The token of one source. https://www.rfc-editor.org/rfc/rfc6749#section-4.4"""

    def __init__(self, auth: OAuth2ClientCredentials, client: Client, secrets: Secrets, clock: Clock) -> None:
        self._auth = auth
        self._client = client
        self._secrets = secrets
        self._clock = clock
        self._value = ""
        self._until_s = 0.0
        self._was_taken = False

    def read(self) -> str:
        """The token; asks for it where there is none that is good for a while."""
        if not self._value or self._clock.monotonic_s() >= self._until_s:
            asked_s = self._clock.monotonic_s()
            answer = self._asked()
            self._value = answer["access_token"]
            self._until_s = asked_s + _life_s(answer) - _SPARE_S
            self._was_taken = False
        return self._value

    def taken(self) -> None:
        """The API took the token."""
        self._was_taken = True

    def drop(self) -> bool:
        """Forgets a token that the API does not take any more; False where it never did."""
        had, self._value, self._was_taken = self._was_taken, "", False
        return had

    def _asked(self) -> Any:
        auth = self._auth
        url = checked_url(auth.token_url)
        proof = {"Authorization": basic(auth.client_id, self._secrets.read(auth.secret))}
        request = Request("POST", url, shown(auth.token_url), proof)
        scope = {"scope": auth.scope} if auth.scope else {}
        answer = self._client.send(request, form={"grant_type": "client_credentials", **scope}).document
        token = at(answer, "access_token")
        if not isinstance(token, str) or not token.isprintable() or not token:
            raise UnusableError(request.shown, "it holds no access_token", wrong=True)
        if str(at(answer, "token_type") or "bearer").lower() != "bearer":
            raise SourceAnswerError(request.shown, "its token_type is not Bearer, the only one that is known here")
        return answer


def no_token() -> str:
    """Stands in for the token of sources whose credentials are none of OAuth 2; is never called."""
    raise AssertionError("only OAuth 2 needs a token")


def _life_s(answer: Any) -> float:
    life = at(answer, "expires_in")
    return float(life) if isinstance(life, (int, float)) and not isinstance(life, bool) else _DEFAULT_LIFE_S
