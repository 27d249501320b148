"""Backups of the local stack: a home's data and secrets in one archive, and back into an empty home.

Taken while the stack runs: everything in it is suspended while files are copied, so that they are what `kill -9` of all
at once would leave, from which every part comes back without loss: docs/decisions/290.
"""

from penstock.servers.backup.files import unlike_the_projects
from penstock.servers.backup.manifest import DECLARATIONS, Manifest
from penstock.servers.backup.restoring import restore
from penstock.servers.backup.taking import backup

__all__ = ["DECLARATIONS", "Manifest", "backup", "restore", "unlike_the_projects"]
