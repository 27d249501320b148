"""What `penstock new` makes of an API or of a file, and how a test holds that against the other commands."""

import importlib
import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from penstock.cli import cli
from penstock.pipelines.contract import Pipeline
from penstock.pipelines.project import load_pipeline
from penstock.simulator import Asked, Reply
from tests.apis import json_reply, serving

NAME = "things"


@dataclass
class Folder:
    """A project folder, in which commands run as a person's do."""

    path: Path
    patch: pytest.MonkeyPatch

    def new(self, origin: object, *options: str, name: str = NAME) -> Result:
        return CliRunner().invoke(cli, ["new", name, "--from", str(origin), *options])

    def text(self, name: str = NAME) -> str:
        return (self.path / "pipelines" / f"{name}.py").read_text("utf-8")

    def pipeline(self, name: str = NAME) -> Pipeline:
        """As the other commands load it."""
        sys.modules.pop(f"pipelines.{name}", None)
        importlib.invalidate_caches()
        return load_pipeline(f"pipelines.{name}:{constant(self.text(name))}")

    def run(self, *arguments: str, name: str = NAME) -> Result:
        """A command on the pipeline."""
        self.pipeline(name)
        self.patch.setenv("PENSTOCK_PIPELINES", f"pipelines.{name}:{constant(self.text(name))}")
        return CliRunner().invoke(cli, list(arguments))

    def is_proved(self, name: str = NAME, *preview: str, rows: int | None = None) -> list[Mapping[str, Any]]:
        """The rows that `penstock preview` shows, after `penstock check`; none is rejected."""
        checked = self.run("check", name=name)
        assert checked.exit_code == 0, f"{checked.output} {checked.exception}"
        previewed = self.run("preview", "--json", *preview, name=name)
        assert previewed.exit_code == 0, f"{previewed.output} {previewed.exception}"
        shown = [json.loads(line) for line in previewed.stdout.split("\n") if line]
        assert [one for one in shown if "rejected" in one] == []
        assert rows is None or len(shown) == rows
        return [one["row"] for one in shown if "row" in one]

    def answer(self, document: Any, name: str = "answer.json") -> Path:
        """A file that holds it; a text as it is."""
        file = self.path / name
        file.write_text(document if isinstance(document, str) else json.dumps(document), "utf-8")
        return file

    def proposed(self, document: Any, *options: str, rows: int | None = None) -> Pipeline:
        """What is proposed of an API that has this answer to everything; proved by the other commands."""
        with serving(lambda _asked: json_reply(document)) as url:
            done = self.new(url, *options)
            assert done.exit_code == 0, f"{done.output} {done.exception}"
            self.is_proved(rows=rows)
        return self.pipeline()

    def refused(self, document: Any, *options: str) -> str:
        """What is said of an API that has this answer to everything; nothing is written."""
        return self.refused_by(lambda _asked: json_reply(document), *options)

    def refused_by(self, api: Any, *options: str) -> str:
        with serving(api) as url:
            done = self.new(url, *options)
        assert done.exception is not None
        assert not (self.path / "pipelines").exists()
        return str(done.exception)


def constant(text: str) -> str:
    return next(line.partition(" = Pipeline(")[0] for line in text.splitlines() if " = Pipeline(" in line)


def always(reply: Reply) -> Any:
    """An API with one answer."""

    def api(_asked: Asked) -> Reply:
        return reply

    return api
