"""The file of a proposal: loaded as any other declaration, and written where nothing of a person's is lost."""

import runpy
import tempfile
from pathlib import Path

from penstock.config import Settings
from penstock.errors import ConfigError
from penstock.pipelines.contract import Pipeline

FOLDER = "pipelines"
"""Of a project folder: one file a pipeline."""


def place(settings: Settings, name: str, *, force: bool) -> Path:
    """Where the file of the pipeline `name` goes in the project, as seen from the working folder where that is above.

    Raises:
        ConfigError: a file is there, and it is not to be replaced.
    """
    file = Path(settings.project, FOLDER, f"{name}.py").absolute()
    if file.is_relative_to(Path.cwd()):
        file = file.relative_to(Path.cwd())
    if file.exists() and not force:
        raise ConfigError(
            f"{file} is there already, and is not replaced without --force. Another name gives another file"
        )
    return file


def write(file: Path, text: str) -> None:
    """Writes the file as a whole, or not at all.

    Raises:
        ConfigError: the system refuses it.
    """
    beside = file.with_suffix(".py.new")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        beside.write_text(text, "utf-8")
        beside.replace(file)
    except OSError as error:
        raise ConfigError(f"{file} cannot be written: {error}") from error


def loaded(text: str, constant: str) -> Pipeline:
    """The pipeline that such a file declares."""
    with tempfile.TemporaryDirectory(prefix="penstock-new-") as folder:
        file = Path(folder, "declaration.py")
        file.write_text(text, "utf-8")
        pipeline: Pipeline = runpy.run_path(str(file))[constant]
    return pipeline
