"""Declarations in the folder of a project: the users pipeline under another name."""

from pathlib import Path

TEXT = """
from penstock.users import USERS

SCHEDULE = USERS.schedule.model_copy(update={{"dag_id": "{0}"}})
PIPELINE = USERS.model_copy(update={{"name": "{0}", "topic": "{0}", "table": "{0}", "schedule": SCHEDULE}})
"""


def declare(project: Path | str, name: str, text: str = TEXT) -> Path:
    """Writes the declaration of that name; returns its file."""
    file = Path(project, "pipelines", f"{name}.py")
    file.parent.mkdir(exist_ok=True)
    file.write_text(text.format(name))
    return file
