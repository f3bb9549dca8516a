"""What software made a version, as CycloneDX 1.6 JSON from the running environment."""

from importlib import metadata


def sbom(commit: str) -> str:
    """Every installed distribution with version and package URL; the same environment, the same text."""
    from cyclonedx.model.bom import Bom
    from cyclonedx.model.component import Component, ComponentType
    from cyclonedx.output.json import JsonV1Dot6
    from packageurl import PackageURL

    bom = Bom()
    bom.metadata.component = Component(name="genco", version=commit, type=ComponentType.APPLICATION)
    bom.metadata.timestamp = None  # type: ignore[assignment]
    installed = {d.metadata["Name"].lower(): d.version for d in metadata.distributions()}
    for name, version in sorted(installed.items()):
        url = PackageURL("pypi", name=name, version=version)
        bom.components.add(
            Component(
                name=name,
                version=version,
                purl=url,
                bom_ref=f"{name}=={version}",
                type=ComponentType.LIBRARY,
            )
        )
    bom.serial_number = _serial(installed)
    return JsonV1Dot6(bom).output_as_string(indent=1)


def _serial(installed: dict[str, str]):  # noqa: ANN202
    import uuid

    return uuid.uuid5(uuid.NAMESPACE_URL, repr(sorted(installed.items())))
