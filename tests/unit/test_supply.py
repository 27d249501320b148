"""The bill of materials and the licences: every locked wheel and jar is in both, and every licence may be."""

import json
import re
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from supply import licences
from supply.licences import Grade, grade, page, refused, superfluous
from supply.parts import ROOT, parts
from supply.sbom import sbom

JARS = sorted((ROOT / "src/penstock/servers/jars").glob("*.lock.toml"))
# What the metadata of wheels says by classifiers; several licences have the same one.
CLASSIFIERS = {
    "Apache Software License": {"Apache-2.0"},
    "MIT License": {"MIT"},
    "BSD License": {"BSD-2-Clause", "BSD-3-Clause"},
    "ISC License (ISCL)": {"ISC"},
    "Mozilla Public License 2.0 (MPL 2.0)": {"MPL-2.0"},
    "GNU General Public License v2 (GPLv2)": {"GPL-2.0-only"},
    "GNU General Public License v2 or later (GPLv2+)": {"GPL-2.0-or-later"},
    "GNU Library or Lesser General Public License (LGPL)": {"LGPL-3.0-or-later"},
    "Python Software Foundation License": {"PSF-2.0"},
    "The Unlicense (Unlicense)": {"Unlicense"},
    "Artistic License": {"Artistic-1.0"},
}


@pytest.fixture(scope="module")
def whole() -> str:
    return sbom(development=True)


@pytest.fixture(scope="module")
def of_image() -> str:
    return sbom(development=False)


def hashes_of(text: str) -> dict[str, set[str]]:
    """Identity of each component in an SBOM -> its hashes."""
    found = json.loads(text)["components"]
    return {one["purl"]: {each["content"] for each in one["hashes"]} for one in found}


def locked_wheels(file: str) -> dict[str, set[str]]:
    """Of a lock, read in another way than the SBOM does: line by line."""
    found: dict[str, set[str]] = {}
    for line in (ROOT / file).read_text("utf-8").splitlines():
        if pin := re.match(r"(\S+)==([^\s;\\]+)", line):
            found[last := f"pkg:pypi/{pin[1]}@{pin[2].replace('+', '%2B')}"] = set()
        elif "--hash=sha256:" in line:
            found[last].add(line.partition("sha256:")[2].split()[0])
    return found


def test_the_bill_of_materials_is_valid(whole: str) -> None:
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(whole) is None


def test_every_locked_wheel_is_in_it_with_all_its_hashes(whole: str) -> None:
    locked = locked_wheels("requirements.lock")
    assert len(locked) > 200
    assert locked.items() <= hashes_of(whole).items()


@pytest.mark.parametrize("lock", JARS, ids=lambda lock: lock.name.partition(".")[0])
def test_every_locked_jar_is_in_it_with_its_sha256(whole: str, lock: Path) -> None:
    known = hashes_of(whole)
    for jar in tomllib.loads(lock.read_text("utf-8")).get("dependencies", ()):
        more = f"classifier={jar['classifier']}&" if jar.get("classifier") else ""
        url = f"pkg:maven/{jar['groupId']}/{jar['artifactId']}@{jar['version']}?{more}type=jar"
        assert known[url] == {jar["sha256"]}


def test_that_of_the_image_has_what_the_image_installs_and_nothing_of_development(of_image: str) -> None:
    known = hashes_of(of_image)
    assert {url for url in known if url.startswith("pkg:pypi/")} == locked_wheels("requirements.runtime.lock").keys()


def test_other_parts_have_another_serial_number(whole: str, of_image: str) -> None:
    assert json.loads(whole)["serialNumber"] != json.loads(of_image)["serialNumber"]


def test_no_address_of_a_registry_is_in_it(whole: str) -> None:
    assert "://" not in json.dumps(json.loads(whole)["components"])


def test_every_part_has_a_licence_that_may_be() -> None:
    assert refused() == []


def test_no_licence_is_kept_of_a_part_that_is_gone() -> None:
    assert superfluous() == []


def test_the_page_of_licences_is_that_of_the_locks() -> None:
    assert licences.PAGE.read_text("utf-8") == page(), "run: .venv/bin/python -m supply licences"


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("MIT", Grade.PERMISSIVE),
        ("MPL-2.0", Grade.WEAK_COPYLEFT),
        ("MPL-2.0 AND (Apache-2.0 OR MIT)", Grade.WEAK_COPYLEFT),
        ("LGPL-2.1-or-later OR Apache-2.0", Grade.PERMISSIVE),
        ("Artistic-1.0 OR GPL-2.0-or-later", Grade.WEAK_COPYLEFT),
        ("GPL-2.0-only WITH Classpath-exception-2.0", Grade.WEAK_COPYLEFT),
        ("GPL-2.0-only", Grade.REFUSED),
        ("MIT AND AGPL-3.0-only", Grade.REFUSED),
        ("SSPL-1.0", Grade.REFUSED),
        ("Confluent Community License", Grade.REFUSED),
        ("", Grade.REFUSED),
    ],
)
def test_a_licence_is_graded(expression: str, expected: Grade) -> None:
    assert grade(expression) is expected


def installed() -> dict[str, Any]:
    found = {re.sub(r"[-_.]+", "-", one.metadata["Name"]).lower(): one.metadata for one in metadata.distributions()}
    return {part.key: found[part.key] for part in parts() if part.url.type == "pypi" and part.key in found}


def test_installed_wheels_say_the_same() -> None:
    """The expression where a wheel has one; else its classifiers, of which one at least must fit."""
    entered = licences.licences()["pypi"]
    wrong = {}
    for name, told in installed().items():
        classifiers = {each.rpartition(" :: ")[2] for each in told.get_all("Classifier") or () if each[:7] == "License"}
        ids = [CLASSIFIERS.get(each, set()) for each in classifiers]
        if expression := told.get("License-Expression"):
            same = expression == entered[name]
        else:
            same = not any(ids) or any(each in entered[name] for every in ids for each in every)
        if not same:
            wrong[name] = (entered[name], expression or classifiers)
    assert wrong == {}


def test_the_image_has_what_writes_its_bill_of_materials() -> None:
    """By its Dockerfile: everything that the library needs is among the tools, and the file ends up in the image."""
    dockerfile = (ROOT / "Dockerfile").read_text("utf-8")
    tools = set(re.findall(r"[\w-]+", re.findall(r"awk '/\^\((.*?)\)==", dockerfile)[0]))
    needed, known = ["cyclonedx-python-lib"], set()
    while needed:
        name = needed.pop()
        if name not in known:
            known.add(name)
            wanted = [each for each in metadata.requires(name) or () if "extra ==" not in each]
            needed += [re.split(r"[^\w.-]", each)[0].lower().replace("_", "-").replace(".", "-") for each in wanted]
    assert known <= tools
    assert "-m supply sbom --run-time sbom.cdx.json" in dockerfile
    assert "COPY --from=package /build/sbom.cdx.json /opt/penstock/" in dockerfile
    assert "!supply" in (ROOT / ".dockerignore").read_text("utf-8").split()


def test_it_is_written_without_what_the_image_lacks(tmp_path: Path, of_image: str) -> None:
    """The tools of the image's build have no library of Penstock's own."""
    script = (
        "import sys; sys.modules.update(dict.fromkeys(['pydantic', 'httpx', 'jsonschema', 'rich', 'click'])); "
        f"from supply.sbom import sbom; open({str(tmp_path / 'sbom')!r}, 'w').write(sbom(development=False))"
    )
    subprocess.run([sys.executable, "-c", script], cwd=ROOT, env={"PYTHONPATH": "src"}, check=True)
    made = (tmp_path / "sbom").read_text("utf-8")
    assert hashes_of(made) == hashes_of(of_image)
    assert json.loads(made)["serialNumber"] == json.loads(of_image)["serialNumber"]


def test_ci_writes_it() -> None:
    assert "scripts/sbom " in (ROOT / ".ci" / "run").read_text("utf-8")
