"""The reasons of the newest dead letters: counted as they come, never by reading the whole topic."""

import time
from collections import Counter, OrderedDict
from collections.abc import Mapping

from penstock.kafka import Received, Topics
from penstock.pipelines.record import Header, letter_id, replayed_letter

NEWEST = 1_000
"""Messages of the topic that are looked at when nothing of it is known yet, and letters that are kept."""
_TIMEOUT_S = 2.0
"""For one look. Letters may have 17 MiB; what is left is read at the next look."""


class Reasons:
    """Counts the reasons in one topic of dead letters. Each `refresh` reads the messages since the last one."""

    def __init__(self, topic: str) -> None:
        self._topic = topic
        self._next: dict[int, int] = {}
        self._open: OrderedDict[str, str] = OrderedDict()
        self.messages = 0
        """How many messages were looked at, at most `NEWEST`."""

    def refresh(self, broker: Topics) -> dict[str, int]:
        """Reason -> open letters."""
        spans = broker.offsets(self._topic)
        if any(self._next.get(number, 0) > span.end for number, span in spans.items()):  # the topic was made again
            self._next.clear()
            self._open.clear()
            self.messages = 0
        share = max(1, NEWEST // max(1, len(spans)))
        for number, span in spans.items():
            self._next[number] = max(span.first, self._next.get(number, span.end - share))
        end = {number: span.end for number, span in spans.items() if self._next[number] < span.end}
        if end:
            self._read(broker, end)
        return dict(Counter(self._open.values()).most_common())

    def _read(self, broker: Topics, end: Mapping[int, int]) -> None:
        until_s = time.monotonic() + _TIMEOUT_S
        for message in broker.read(self._topic, start=dict(self._next), end=end):
            self._enter(message)
            self._next[message.partition] = message.offset + 1
            if time.monotonic() > until_s:
                return
        self._next.update(end)

    def _enter(self, message: Received) -> None:
        self.messages = min(NEWEST, self.messages + 1)
        headers = message.headers
        if Header.RESOLVED in headers:
            self._open.pop(message.key_text, None)
            return
        identity = replayed_letter(headers) or letter_id(message.key, message.value)
        self._open[identity] = headers.get(Header.REASON, "unknown")
        self._open.move_to_end(identity)
        while len(self._open) > NEWEST:
            self._open.popitem(last=False)
