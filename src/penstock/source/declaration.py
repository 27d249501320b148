"""The declaration of an API: its address, the parameters of a request, the paging, the credentials."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import ConfigDict, Field, model_validator
from pydantic.dataclasses import dataclass

from penstock.errors import ConfigError, ContractError
from penstock.source.auth import Auth
from penstock.source.interval import check_marks, needs_interval
from penstock.source.paging import FirstPage, Generated, Paging
from penstock.source.places import Header, Items
from penstock.source.rate import PerSecond

Param = str | int | float | bool | list[str]


@dataclass(frozen=True, config=ConfigDict(extra="forbid", arbitrary_types_allowed=True))
class Source:
    """How the API is asked for the records of a run.

    Texts of `url`, `params`, `headers` and `json` may hold `{start}` and `{end}` of the run's data interval,
    `{logical_date}` and `{seed}`; dates take a format: `{start:%Y-%m-%d}`, `{start:epoch}`, `{start:epoch_ms}`.
    """

    url: str
    items: Items
    """Dotted path of the list of records in the answer; "" is the answer itself. `Columns("hourly")` takes the object
    of lists at that path, and makes one item of the values that stand beside each other. `One("current")` takes the
    object at that path for the only item."""
    params: Mapping[str, Param] = Field(default_factory=dict)
    headers: Mapping[str, str] = Field(default_factory=dict)
    """Nothing secret: that is what `auth` is for. Other hosts do not get them."""
    method: Literal["GET", "POST"] = "GET"
    json: Any = None
    """Body of the request."""
    auth: Auth | None = None
    paging: Paging | None = None
    """None: one answer holds everything, and one that names another page is an error."""
    rate: PerSecond | None = None
    total: str | Header | None = None
    """Where the answer states how many items there are in all. Fewer than that is an error."""
    ndjson: bool = False
    """Each line of the answer is an item, whatever the answer's Content-Type says; `items` is "" then."""
    origins: tuple[str, ...] = ()
    """Other places that next pages may lead to, as `https://host`. They get neither credentials nor `headers`."""
    at_least: Annotated[int, Field(ge=0)] = 0
    """Items below which a run has failed."""
    at_most_rejected: Annotated[float, Field(ge=0, lt=1)] = 0.5
    """Share of the items that may be no records; above it a run has failed. See decisions/213."""

    @model_validator(mode="after")
    def _can_be_asked(self) -> Self:
        for name in ("url", "params", "headers", "json"):
            _check_marks(name, getattr(self, name))
        given: object = self.paging  # as it was written, whatever its type says
        if isinstance(given, type):
            name = given.__name__
            raise ContractError(f"paging is the class {name}, and not one of its kind: {name}(…)", place="paging")
        if self.json is not None and self.method == "GET":
            raise ContractError('a source with json is asked with method="POST"', place="json")
        if self.ndjson and self.items != "":
            raise ContractError(
                f'a source of NDJSON has its items at the root: items="", not {self.items!r}', place="items"
            )
        return self

    @property
    def pages(self) -> Paging:
        return self.paging or FirstPage()

    @property
    def needs_interval(self) -> bool:
        """Whether it asks for the data interval of a run."""
        return any(needs_interval(value) for value in (self.url, self.params, self.headers, self.json))

    @property
    def most_records(self) -> int | None:
        """The most records that one run can ask for; None where the API says how many there are."""
        return self.paging.most_records if isinstance(self.paging, Generated) else None

    def asked(self, records: object = None) -> int | None:
        """The number of records that a run asks for; None where the API says how many there are.

        Raises:
            ConfigError: the API cannot be asked for so many, or for a number at all.
        """
        if isinstance(self.paging, Generated):
            return self.paging.asked(self.paging.records if records is None else records)
        if records is not None:
            raise ConfigError(
                f"{records!r:.100} records cannot be asked for: this API says itself how many there are. "
                "Leave the number out; a data interval (--from, --to) narrows what is asked, where the source uses it"
            )
        return None


def _check_marks(name: str, value: Any) -> None:
    try:
        check_marks(value)
    except ContractError as error:
        raise ContractError(str(error), place=name) from error
