"""`python -m penstock.services.jars FOLDER`: fetches every locked jar into a folder; what the Dockerfile runs.

Needs this package and `penstock.errors` only, so that the image's layer of jars does not depend on the rest of us.
"""

import sys
from pathlib import Path

from penstock.services.jars.download import addresses, download
from penstock.services.jars.locked import SETS, jars_of

if __name__ == "__main__":
    download(jars_of(SETS), Path(sys.argv[1]), addresses(), lambda _: None)
