"""Homes that earlier releases made open under this code, with everything that was in them."""

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from penstock.airflow import Airflow
from penstock.config import Settings
from penstock.launcher import control
from penstock.pipelines.contract import Pipeline
from penstock.servers.secrets import with_credentials
from rig.stacks import penstock, settings_in, start
from tests.upgrades.release import RECIPES, Release, accounts, built
from tests.waiting import until

pytestmark = [pytest.mark.thorough, pytest.mark.timeout(5_400)]

COMPARED = ("acknowledged", "stored", "dead_lettered", "in_flight", "duplicates", "lost", "fetched", "balances")


def fill(release: Release, pipeline: Pipeline) -> dict[str, tuple[object, ...]]:
    """One run of Airflow, and messages that become letters; returns the account of all, and stops the stack."""
    recipe, settings = release.recipe, release.settings
    release.penstock("demo", "--records", str(recipe["records"]))
    malformed = str(Path(__file__).parents[1] / "upgrades" / "malformed.py")
    release.python(malformed, settings.kafka.bootstrap_servers, pipeline.topic, str(recipe["malformed"]))
    known = until(lambda: told(release) if letters(release) == recipe["malformed"] else None, "the letters")
    release.penstock("down")
    return known


def letters(release: Release) -> int:
    return sum(account["dead_lettered"] for account in release.accounts().values())


def told(release: Release) -> dict[str, tuple[object, ...]]:
    return compared(release.penstock("reconcile", "--deep", "--json"))


def compared(lines: str) -> dict[str, tuple[object, ...]]:
    return {run: tuple(account[name] for name in COMPARED) for run, account in accounts(lines).items()}


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """That every user may enter: of root, 0.1.0 starts Postgres as another user, who cannot enter pytest's folder."""
    with TemporaryDirectory(prefix="penstock-upgrade-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        yield folder


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: recipe.stem)
def test_a_home_of_an_earlier_release_keeps_everything(recipe: Path, pipeline: Pipeline, open_folder: Path) -> None:
    """Rows, letters, counts, checkpoint and Airflow's runs; and a further run flows."""
    settings = settings_in(open_folder / "home")
    with built(recipe, settings, open_folder) as release:
        before = fill(release, pipeline)
    identity = (settings.home / "data/checkpoint" / pipeline.name / "metadata").read_text("utf-8")
    try:
        start(settings)
        # A stream that read its topic anew would write nothing new either: it is the same query that goes on.
        assert (settings.home / "data/checkpoint" / pipeline.name / "metadata").read_text("utf-8") == identity
        assert compared(done(settings, "reconcile", "--deep", "--json")) == before
        assert compared(done(settings, "reconcile", "--json")).keys() == before.keys()
        runs = [run for run in before if run.startswith("manual__")]
        with Airflow(with_credentials(settings)) as airflow:
            assert {str(airflow.state(pipeline.schedule.dag_id, run).state) for run in runs} == {"success"}
        done(settings, "run", "--records", "100")
        after = compared(done(settings, "reconcile", "--deep", "--json"))
        assert before.items() <= after.items()
        assert len(after) > len(before)
    finally:
        control.down(settings)


def done(settings: Settings, *arguments: str) -> str:
    ended = penstock(settings, *arguments)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout
