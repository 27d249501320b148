"""The form of a flag that an API writes as one value among others: `From("status", form=Is("deleted"))`."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Is:
    """True where the API's value is this one, false where it is another; of an absent value it makes nothing."""

    value: str | int

    def __call__(self, value: object) -> bool:
        # Python takes 1, 1.0 and True for equal.
        return type(value) is type(self.value) and value == self.value
