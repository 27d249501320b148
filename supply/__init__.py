"""What Penstock is made of besides its own code: every locked wheel and jar, their licences, and the SBOM of all.

`python -m supply sbom FILE` writes the SBOM, `python -m supply licences` the page `docs/licences.md`. Needs the locks
and the libraries of the development group; no part of what is installed.
"""
