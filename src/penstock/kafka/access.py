"""Who is let into Kafka and what each may do there. Asked by the administrator of a secure stack."""

from collections.abc import Iterable, Mapping
from concurrent.futures import Future
from typing import Any

from confluent_kafka import KafkaException
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # exported by `import` only
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
    ScramCredentialInfo,
    ScramMechanism,
    UserScramCredentialUpsertion,
)

from penstock.config import KafkaSettings
from penstock.kafka.client import Client

_ITERATIONS = 8_192
"""Of SCRAM's hash. A password here is 32 random bytes, which no number of guesses finds."""
_KINDS = {
    "topic": (ResourceType.TOPIC, ResourcePatternType.LITERAL),
    "groups": (ResourceType.GROUP, ResourcePatternType.PREFIXED),
}

Acl = tuple[str, str, str, str]
"""User, kind of thing (`topic`, or `groups` by the begin of their names), its name, operation."""


class Access:
    """The users of one cluster and their rights."""

    def __init__(self, settings: KafkaSettings) -> None:
        self._client = Client(settings)
        self._admin = AdminClient(self._client.admin_options())

    def let_in(self, passwords: Mapping[str, str]) -> None:
        """Gives each user its password for SCRAM-SHA-512; connections that are open stay open."""
        how = ScramCredentialInfo(ScramMechanism.SCRAM_SHA_512, _ITERATIONS)
        wanted: list[Any] = [UserScramCredentialUpsertion(name, how, word.encode()) for name, word in passwords.items()]
        answers = self._admin.alter_user_scram_credentials(wanted, request_timeout=self._client.timeout_s)
        for name, answer in answers.items():
            self._answer(f"giving user {name} its password", answer)

    def allow(self, users: Iterable[str], wanted: Iterable[Acl]) -> None:
        """Has these users have these rights and no others. Nobody loses a right for a moment that he is to have."""
        timeout = {"request_timeout": self._client.timeout_s}
        bindings = {_binding(one) for one in wanted}
        names = {f"User:{name}" for name in users}
        every = self._answer("asking for the rights", self._admin.describe_acls(_any_acl(), **timeout))
        found = {one for one in every if one.principal in names}
        if fresh := list(bindings - found):
            for made in self._admin.create_acls(fresh, **timeout).values():
                self._answer("giving a right", made)
        if former := [_exactly(one) for one in found - bindings]:
            for gone in self._admin.delete_acls(former, **timeout).values():
                self._answer("taking a right away", gone)

    def _answer(self, doing: str, future: "Future[Any]") -> Any:
        try:
            return future.result()
        except KafkaException as exception:
            self._admin.poll(0)  # serves the callback that keeps the cause
            raise self._client.error(doing, exception.args[0]) from exception


def _binding(acl: Acl) -> AclBinding:
    user, kind, name, operation = acl
    resource, pattern = _KINDS[kind]
    allowed = (AclOperation[operation], AclPermissionType.ALLOW)
    return AclBinding(resource, name, pattern, f"User:{user}", "*", *allowed)


def _any_acl() -> AclBindingFilter:
    anything: tuple[Any, ...] = (None, ResourcePatternType.ANY, None, None, AclOperation.ANY, AclPermissionType.ANY)
    return AclBindingFilter(ResourceType.ANY, *anything)


def _exactly(one: AclBinding) -> AclBindingFilter:
    where = (one.restype, one.name, one.resource_pattern_type, one.principal, one.host)
    return AclBindingFilter(*where, one.operation, one.permission_type)
