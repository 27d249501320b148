"""The overview of a project: of whatever pipelines it declares at the moment, looked up anew as its files change."""

import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from typing import Self

from penstock.audit.overview.observer import PATIENCE_S, Observer
from penstock.audit.overview.picture import Overview, RefusedPart
from penstock.config import Settings
from penstock.errors import ConfigError, ContractError
from penstock.pipelines.contract import Pipeline
from penstock.pipelines.project import Declaration, declarations, stamp

_AGAIN_S = 10.0
"""What is refused is read again so often: the cause may be in another file."""


class ProjectObserver:
    """An `Observer` of the project's pipelines; those that are added, changed or removed count from the next look on.

    While a declaration is broken, the pipelines that were seen before it broke are still looked at: the stream carries
    them as well. `failures` gives, by pipeline, why the stream says that it does not carry it.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        patience_s: float = PATIENCE_S,
        failures: Callable[[], Mapping[str, str]] = dict,
        now_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings, self._patience_s, self._failures, self._now_s = settings, patience_s, failures, now_s
        self._wanted: dict[str, Declaration] = {}
        self._refused: tuple[RefusedPart, ...] = ()
        self._stamp: object = None
        self._read_s = 0.0
        self._observer: Observer | None = None
        self._closing = ExitStack()
        self.pipelines: Mapping[str, Pipeline] = {}
        """By name, those of the last look."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.close()

    def look(self) -> Overview:
        """The picture of this moment, and which declarations are refused."""
        self._follow()
        observer = self._observer or self._opened()
        return observer.look().model_copy(update={"refused": self._refused})

    def _follow(self) -> None:
        now, now_s = stamp(self._settings), self._now_s()
        if now == self._stamp and not (self._refused and now_s - self._read_s >= _AGAIN_S):
            return
        self._stamp, self._read_s = now, now_s
        wanted = self._declared()
        changed = wanted.keys() != self._wanted.keys() or any(
            not one.is_still(self._wanted[name]) for name, one in wanted.items()
        )
        if changed:
            self._wanted, self._observer = wanted, None

    def _declared(self) -> dict[str, Declaration]:
        try:
            found = declarations(self._settings)
        except (ConfigError, ContractError) as error:
            self._refused = (RefusedPart(place=self._settings.project, problem=str(error)),)
            return self._wanted
        self._refused = tuple(RefusedPart(place=each.place, problem=str(each.error)) for each in found if each.error)
        sound = {each.pipeline.name: each for each in found if each.pipeline}
        return {**self._wanted, **sound} if self._refused else sound

    def _opened(self) -> Observer:
        self._closing.close()
        self.pipelines = {name: each.pipeline for name, each in self._wanted.items() if each.pipeline}
        pipelines = list(self.pipelines.values())
        made = Observer(self._settings, pipelines, patience_s=self._patience_s, failures=self._failures)
        self._observer = self._closing.enter_context(made)
        return self._observer
