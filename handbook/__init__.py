"""The documentation: what of it is generated from the code, whether its links lead somewhere, and the site made of it.

`python -m handbook write` brings the generated blocks of the pages to what the code says; `python -m handbook build`
makes the site. The pages themselves are Markdown in `docs/`, for readers without a site too.
"""

from pathlib import Path

ROOT = Path(__file__).parents[1]
"""The repository, with `docs/` and the pages beside it."""
