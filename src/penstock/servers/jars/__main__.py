"""`python -m penstock.servers.jars FOLDER [MIRROR]`: fetches every locked jar into a folder; what the Dockerfile runs.

Needs only this package and `penstock.network`, so that the image's layer of jars does not depend on the rest of us.
"""

import sys
from pathlib import Path

from penstock.servers.jars.download import download, repository
from penstock.servers.jars.locked import SETS, jars_of

if __name__ == "__main__":
    download(jars_of(SETS), Path(sys.argv[1]), repository(*sys.argv[2:]), lambda _: None)
