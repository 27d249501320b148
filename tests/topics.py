"""A dead-letter topic that is a list in memory, for whoever reads letters and replays them."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any
from uuid import UUID

from penstock.kafka import Message, Offsets, Receipts, Received
from penstock.pipelines.record import Header, Reason, letter_id, to_bytes
from penstock.users import USERS, User

AT_MS = 1_741_789_800_123
AT = "2025-03-12T14:30:00.123Z"
GOOD = to_bytes(User(id=UUID(int=1), first_name="علی", last_name="b", email="e@example.com", username="u"))
BAD = GOOD.replace(b'"u"', b"7")


class Kafka:
    """A dead-letter topic of two partitions, and what was published to the other topic."""

    def __init__(self) -> None:
        self.letters: dict[int, list[Received]] = {0: [], 1: []}
        self.published: list[Message] = []

    def offsets(self, topic: str) -> dict[int, Offsets]:
        assert topic == USERS.dead_letter_topic
        return {number: Offsets(0, len(messages)) for number, messages in self.letters.items()}

    def read(
        self, topic: str, *, start: Mapping[int, int] | None = None, end: Mapping[int, int] | None = None
    ) -> Iterator[Received]:
        assert topic == USERS.dead_letter_topic
        for number, messages in self.letters.items():
            if end is None or number in end:
                yield from messages[(start or {}).get(number, 0) : (end or {}).get(number)]

    def identity(self, topic: str) -> str:
        return f"that of {topic}"

    def publish(self, messages: Iterable[Message], on_progress: Callable[[int], None] = lambda _: None) -> Receipts:
        for message in messages:
            if message.topic == USERS.dead_letter_topic:
                self.append((message.key or b"").decode(), message.value, message.headers)
            else:
                self.published.append(message)
        return Receipts(len(self.published), len(self.published), 0, {})

    def reject(
        self, key: str, value: bytes | None = BAD, reason: str = Reason.WRONG_TYPE, *, partition: int = 0, **more: Any
    ) -> str:
        """What the stream writes of a message; returns the letter's id."""
        said: dict[str, str] = {Header.REASON: reason, Header.MESSAGE: "m", Header.RUN: "r", Header.FIRST_SEEN: AT}
        return self.append(key, value, {**said, **{Header[name]: text for name, text in more.items()}}, partition)

    def append(self, key: str | None, value: bytes | None, headers: Mapping[str, str], partition: int = 0) -> str:
        messages, encoded = self.letters[partition], None if key is None else key.encode()
        messages.append(
            Received(USERS.dead_letter_topic, partition, len(messages), encoded, value, headers, AT_MS + 500)
        )
        return letter_id(encoded, value)

    def resolve(self, identity: str, by: str = "users_created/0/9") -> None:
        self.append(identity, b"", {Header.RESOLVED: by})
