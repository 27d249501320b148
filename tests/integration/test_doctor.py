"""The doctor at the running stack, and at one whose settings do not fit it."""

from collections.abc import Iterator
from dataclasses import replace

from penstock.config import Settings
from penstock.doctor import Finding, Grade, examine, web
from penstock.doctor.versions import AIRFLOW
from penstock.servers.secrets import load_secrets
from tests.secured import changed


def by_subject(findings: Iterator[Finding]) -> dict[str, Finding]:
    return {one.subject: one for one in findings}


def test_nothing_is_wrong_with_a_running_stack_and_every_server_has_a_version(stack_settings: Settings) -> None:
    found = by_subject(examine(stack_settings))
    assert [one for one in found.values() if one.grade is Grade.FAILED] == []
    versions = ("kafka version", "cassandra", "spark version", "postgres", "airflow version")
    assert {found[name].grade for name in versions} == {Grade.OK}
    assert found["airflow version"].what == AIRFLOW.tested
    assert found["leftovers"].what == "none: the stack runs"


def test_log_in_that_airflow_refuses(stack_settings: Settings) -> None:
    secrets = load_secrets(stack_settings)
    right = {"username": secrets.airflow_username, "password": secrets.airflow_password}
    wrong = {"username": secrets.airflow_username, "password": "wrong"}
    let_in, refused = (
        by_subject(web.airflow(changed(stack_settings, airflow=given)))["airflow credentials"]
        for given in (right, wrong)
    )
    assert (let_in.grade, refused.grade, refused.fix) == (Grade.OK, Grade.FAILED, "Correct airflow.password")
    assert "401" in refused.what


def test_airflow_that_is_too_old(stack_settings: Settings) -> None:
    found = by_subject(web.airflow(stack_settings, line=replace(AIRFLOW, oldest=(99,))))
    assert (found["airflow version"].grade, found["airflow"].grade) == (Grade.FAILED, Grade.OK)
