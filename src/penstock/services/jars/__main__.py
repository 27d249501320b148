"""`python -m penstock.services.jars FOLDER [MIRROR]`: fetches every locked jar into a folder; what the Dockerfile runs.

Needs this package and `penstock.http` with what it imports only, so that the image's layer of jars does not depend on
the rest of us.
"""

import sys
from pathlib import Path

from penstock.services.jars.download import download, repository
from penstock.services.jars.locked import SETS, jars_of

if __name__ == "__main__":
    download(jars_of(SETS), Path(sys.argv[1]), repository(*sys.argv[2:]), lambda _: None)
