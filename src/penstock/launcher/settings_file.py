"""The settings of one process in a file that only its owner can read.

A process's environment is inherited by everything that it starts, so settings, which hold secrets, are not in it: the
environment names the file. See docs/decisions/177-settings-in-a-file.md.
"""

import shutil
from dataclasses import dataclass
from pathlib import Path

from penstock.config import FILE_VARIABLE, Settings
from penstock.launcher.home import Home
from penstock.launcher.state import write


@dataclass(frozen=True)
class SettingsFile:
    """The file of the process `name`. Making one writes nothing."""

    name: str
    settings: Settings
    """What the process reads: without the credentials that it does not need."""

    @property
    def path(self) -> Path:
        return Home(self.settings.home).settings / f"{self.name}.json"

    @property
    def environment(self) -> dict[str, str]:
        """The variable by which the process finds the file."""
        return {FILE_VARIABLE: str(self.path)}

    def write(self) -> None:
        """Writes the file, before each start of the process. An equal one is left alone: the disk may be full."""
        text = self.settings.as_json()
        if self.path.exists() and self.path.read_text("utf-8") == text:
            return
        self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        write(self.path, text)


def delete_settings_files(home: Home) -> None:
    """Deletes the settings that child processes read. Call it when no process of the home runs any more."""
    shutil.rmtree(home.settings, ignore_errors=True)
