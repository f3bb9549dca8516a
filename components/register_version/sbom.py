"""What software made a version, as CycloneDX 1.6 JSON from the running environment."""

import uuid
from importlib import metadata


def sbom(commit: str) -> str:
    """Every installed distribution with version and package URL; the same environment, the same text."""
    from cyclonedx.model.bom import Bom
    from cyclonedx.model.component import Component, ComponentType
    from cyclonedx.output.json import JsonV1Dot6
    from packageurl import PackageURL

    installed = {d.metadata["Name"].lower(): d.version for d in metadata.distributions()}
    made = Component(name="genco", version=commit, type=ComponentType.APPLICATION, bom_ref="genco")
    parts = [
        Component(
            name=name,
            version=version,
            purl=PackageURL("pypi", name=name, version=version),
            bom_ref=f"{name}=={version}",
            type=ComponentType.LIBRARY,
        )
        for name, version in sorted(installed.items())
        if name != "genco"
    ]
    bom = Bom(components=parts)
    bom.metadata.component = made
    bom.register_dependency(made, parts)
    bom.metadata.timestamp = None  # type: ignore[assignment]  (same software, same bytes)
    bom.serial_number = uuid.uuid5(uuid.NAMESPACE_URL, repr(sorted(installed.items())))
    return JsonV1Dot6(bom).output_as_string(indent=1)
