"""The key of a table as a declaration says it: `key="id"`, or a `Key` of several columns."""

from collections.abc import Iterable
from dataclasses import dataclass

from penstock.errors import ContractError


@dataclass(frozen=True)
class Desc:
    """A clustering column whose largest value comes first, e.g. the newest time."""

    name: str


@dataclass(frozen=True)
class Key:
    """The columns of `partition` decide on which nodes a row is; those of `clustering` order the rows beside it.

    All of them together are what tells one row from another. Records of one partition keep their order on the way.
    """

    partition: tuple[str, ...]
    clustering: tuple[str | Desc, ...] = ()

    def __post_init__(self) -> None:
        for name in ("partition", "clustering"):
            given = getattr(self, name)
            if isinstance(given, (str, Desc)):  # the letters of a text would be taken for columns
                raise ContractError(f"Key: {name} is {given!r}, and is a tuple: ({given!r},)", place=name)

    @property
    def names(self) -> tuple[str, ...]:
        """The columns, in the order of Cassandra's primary key."""
        return (*self.partition, *(name_of(column) for column in self.clustering))

    def primary_key(self) -> str:
        """The PRIMARY KEY clause of CQL."""
        first = f"({', '.join(self.partition)})" if len(self.partition) > 1 else self.partition[0]
        return f"PRIMARY KEY ({', '.join([first, *self.names[len(self.partition) :]])})"

    def order(self) -> str:
        """The table's option that says the order of the rows; empty where there is none to say."""
        if not any(isinstance(column, Desc) for column in self.clustering):
            return ""
        ways = (f"{name_of(column)} {'DESC' if isinstance(column, Desc) else 'ASC'}" for column in self.clustering)
        return f"CLUSTERING ORDER BY ({', '.join(ways)})"

    def __str__(self) -> str:
        return f"{self.primary_key()} {self.order()}".strip()


def name_of(column: str | Desc) -> str:
    return column.name if isinstance(column, Desc) else column


def key_of_columns(partition: Iterable[str], clustering: Iterable[tuple[str, bool]]) -> Key:
    """The key that a table has; clustering columns with whether they are in descending order."""
    return Key(tuple(partition), tuple(Desc(name) if is_descending else name for name, is_descending in clustering))
