"""Every error that Penstock raises on purpose.

PenstockError
├── ConfigError                a setting is wrong: which key, where it came from, what is allowed
│   ├── FolderError                a folder that a setting names cannot be used
│   └── NetworkError               the environment's proxy, or its authorities, cannot be used
├── NotInstalledError          a part of Penstock was not installed
├── ContractError              a pipeline declaration contradicts itself
├── SourceError                the API did not give what was asked of it
│   ├── SourceUnavailableError     no usable answer within the budget of attempts
│   ├── SourceAnswerError          an answer came, but it is not the one that was asked for
│   └── RejectedError              too many of the items that came are no records
├── BrokerError                Kafka refused or did not answer
│   ├── DeliveryError              records were sent and not all were acknowledged
│   └── TopicError                 a topic has a property under which the promise cannot hold
├── StreamError                the streaming query stopped
│   └── StalledError               it did not stop, and did nothing any more
├── StoreError                 Cassandra refused or did not answer
├── LedgerError                the counts of a run do not balance
├── LetterError                no such dead letter, or a file of them that cannot be understood
├── TraceError                 nothing is known of the record that was asked for
├── ScheduleError              Airflow refused, or the run that was asked for failed
└── ServiceError               a local server could not be started or stopped
    ├── PortTakenError
    ├── ServiceExitedError
    ├── ServiceNotReadyError
    ├── DownloadError              a jar could not be fetched or is not the locked one
    └── BackupError                a backup of the stack could not be taken or restored

Each error writes its own sentence: what failed, with which value, what was tried and what to do.
`exit_code` is what the command line returns for it.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from penstock.urls import ShownUrl


class PenstockError(Exception):
    """Base of all these errors; catching it catches nothing that is a defect of ours."""

    exit_code: ClassVar[int] = 1


class ConfigError(PenstockError):
    """A setting that cannot be used, with its key, its origin and the allowed values."""

    exit_code = 2


class FolderError(ConfigError):
    """The system refuses the folder of a setting: no right to it, no room in it, or it is a file."""

    def __init__(self, setting: str, folder: Path, cause: OSError) -> None:
        self.setting = setting
        self.folder = folder
        super().__init__(
            f"setting {setting} is {folder}, which cannot be used: {cause}. Make room or get the right to it, "
            f"or name another folder: PENSTOCK_{setting.upper()}"
        )


class NetworkError(ConfigError):
    """A proxy or a trusted authority that the environment names cannot be used."""

    def __init__(self, what: str, remedy: str) -> None:
        self.what = what
        self.remedy = remedy
        super().__init__(f"{what}. {remedy}")


class NotInstalledError(PenstockError):
    """A part of Penstock that was not installed."""

    exit_code = 2

    def __init__(self, distribution: str, extra: str) -> None:
        self.distribution = distribution
        self.extra = extra
        whole = "" if extra == "local" else " 'penstock[local]' brings all that `penstock demo` runs on one machine."
        super().__init__(f"this needs {distribution}, which is not installed: pip install 'penstock[{extra}]'.{whole}")


class ContractError(PenstockError):
    """A pipeline declaration that contradicts itself; raised while it is being declared.

    `place` is what is to blame, if that is known: `Class.field`, or the name of an argument.
    """

    exit_code = 2

    def __init__(self, message: str, place: str = "") -> None:
        self.place = place
        super().__init__(message)


class SourceError(PenstockError):
    """The API did not give what was asked of it."""

    exit_code = 3


class SourceUnavailableError(SourceError):
    """The API gave no usable answer within the budget of attempts."""

    def __init__(self, url: ShownUrl, attempts: int, cause: str) -> None:
        self.url = url
        self.attempts = attempts
        super().__init__(
            f"{url} gave no usable answer in {attempts} attempts; the last one: {cause}. "
            "Nothing of the unfinished page was published; running the same interval again asks for the same records."
        )


class SourceAnswerError(SourceError):
    """The API answered, but not the question that was asked."""

    def __init__(self, url: ShownUrl, problem: str) -> None:
        self.url = url
        self.problem = problem
        super().__init__(f"{url} answered, but {problem}")


class RejectedError(SourceError):
    """More of a run's items are no records than the declaration allows; all of them are in the dead letters."""

    def __init__(self, run: str, rejected: int, fetched: int, allowed: float, commonest: str) -> None:
        self.run = run
        super().__init__(
            f"run {run}: {rejected} of {fetched} items are no records; allowed are {allowed:.0%} "
            f"(at_most_rejected of the source). The commonest reason: {commonest}. All are in the dead letters: "
            "correct the declaration, or the API its answers"
        )


class BrokerError(PenstockError):
    """Kafka refused or did not answer."""

    exit_code = 4


class DeliveryError(BrokerError):
    """Fewer records were acknowledged than were sent."""

    def __init__(self, topic: str, sent: int, acknowledged: int, cause: str) -> None:
        self.topic = topic
        self.sent = sent
        self.acknowledged = acknowledged
        super().__init__(
            f"topic {topic}: {sent} records sent, {acknowledged} acknowledged; the first failure: {cause}. "
            "Run the same interval again: it sends the same records under the same keys."
        )


class TopicError(BrokerError):
    """A topic has a property under which the promise cannot hold."""

    def __init__(self, topic: str, what: str, fix: str) -> None:
        self.topic = topic
        super().__init__(f"topic {topic} is refused: {what}. Nothing was read or written. Correct it: {fix}")


class StreamError(PenstockError):
    """The streaming query stopped; its checkpoint still marks what was stored."""

    exit_code = 5


class StalledError(StreamError):
    """An epoch is under way in which nothing happens; only a new process gets out of it."""


class StoreError(PenstockError):
    """Cassandra refused or did not answer."""

    exit_code = 6


class LedgerError(PenstockError):
    """The records that went into the pipeline are not those that came out of it."""

    exit_code = 7


class LetterError(PenstockError):
    """There is no such dead letter, or a file of letters cannot be understood."""

    exit_code = 10


class TraceError(PenstockError):
    """Nothing is known of a record."""

    exit_code = 11


class ScheduleError(PenstockError):
    """Airflow refused, or the DAG run that was asked for did not succeed."""

    exit_code = 8


class ServiceError(PenstockError):
    """A local server could not be started or stopped."""

    exit_code = 9


class PortTakenError(ServiceError):
    """Ports that services need are held by others. Each of `taken` is a service, its port, and who holds that."""

    def __init__(self, taken: Sequence[tuple[str, int, str]], remedy: str) -> None:
        self.taken = tuple(taken)
        needs = "; ".join(f"{service} needs port {port}, which is held by {holder}" for service, port, holder in taken)
        super().__init__(f"{needs}. {remedy}")


class ServiceExitedError(ServiceError):
    """A server ended while it was expected to become ready."""

    def __init__(self, service: str, exit_code: int | None, log: Path, tail: str) -> None:
        self.service = service
        self.returned = exit_code
        super().__init__(
            f"{service} ended with exit code {exit_code} before it was ready. Last lines of {log}:\n{tail}"
        )


class ServiceNotReadyError(ServiceError):
    """A server runs but did not answer its protocol in time."""

    def __init__(self, service: str, seconds: float, cause: str, log: Path, tail: str) -> None:
        self.service = service
        self.seconds = seconds
        super().__init__(
            f"{service} runs but was not ready within {seconds:.0f} s; its last answer: {cause}. "
            f"Last lines of {log}:\n{tail}"
        )


class DownloadError(ServiceError):
    """A jar could not be fetched, or is not the one that was locked."""

    def __init__(self, artifact: str, attempts: Sequence[str], remedy: str) -> None:
        self.artifact = artifact
        self.attempts = tuple(attempts)
        super().__init__(f"jar {artifact} could not be fetched; tried: {'; '.join(self.attempts)}. {remedy}")


class BackupError(ServiceError):
    """A backup of the local stack could not be taken, or is not one that can be restored here."""
