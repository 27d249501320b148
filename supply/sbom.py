"""The software bill of materials: every locked part with version, hashes and licence, as CycloneDX 1.6 in JSON."""

from functools import cache
from uuid import NAMESPACE_URL, uuid5

from cyclonedx.contrib.license.factories import LicenseFactory
from cyclonedx.model import HashAlgorithm, HashType
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentScope, ComponentType
from cyclonedx.model.license import License
from cyclonedx.output import make_outputter
from cyclonedx.schema import OutputFormat, SchemaVersion
from packageurl import PackageURL

from supply.parts import Part, own_version, parts

VERSION = SchemaVersion.V1_6


def sbom(*, development: bool) -> str:
    """Its text. Without `development` only what the image holds. The same parts get the same serial number."""
    found = [part for part in parts() if development or part.is_in_use]
    own = _own()
    bom = Bom(components=[_component(part) for part in found], serial_number=uuid5(NAMESPACE_URL, repr(found)))
    bom.metadata.component = own
    bom.register_dependency(
        own, [component for component in bom.components if component.scope is ComponentScope.REQUIRED]
    )
    return make_outputter(bom, OutputFormat.JSON, VERSION).output_as_string(indent=1)


def _own() -> Component:
    url = PackageURL("pypi", name="penstock", version=own_version())
    return Component(
        name="penstock",
        version=own_version(),
        purl=url,
        bom_ref=url.to_string(),
        type=ComponentType.APPLICATION,
        licenses=[_licence("Apache-2.0")],
    )


def _component(part: Part) -> Component:
    url = part.url
    return Component(
        name=url.name,
        group=url.namespace,
        version=url.version,
        purl=url,
        bom_ref=url.to_string(),
        type=ComponentType.LIBRARY,
        scope=ComponentScope.REQUIRED if part.is_in_use else ComponentScope.EXCLUDED,
        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=sha256) for sha256 in part.sha256],
        licenses=[_licence(part.licence)],
    )


@cache
def _licence(expression: str) -> License:
    # To parse one reads the list of all licences anew.
    return LicenseFactory().make_from_string(expression)
