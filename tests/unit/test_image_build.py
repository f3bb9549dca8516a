"""How the image is asked for: pinned, by whichever builder is there, with nothing unpinned in it."""

import re
from pathlib import Path

import pytest

from components.errors import Failed, WrongUse
from images import builder, locked, testing
from pipelines.environment import ROOT, Code, source_digest

BASE = f"python@sha256:{'a' * 64}"
CODE = Code("c0ffee", clean=False, digest="d1", image="local")


def words(tool: str, variant: str = "cpu", certificates: Path | None = None) -> list[str]:
    wish = builder.Wish(BASE, "genco:1", variant, Path("/wheels"), certificates)
    return builder.command(tool, wish, "7", CODE)


@pytest.mark.parametrize("base", ["python:3.11", "python@sha256:abc", f"{BASE}0", ""])
def test_a_base_without_a_whole_digest_is_refused(base: str) -> None:
    builder.check_base(BASE)
    with pytest.raises(WrongUse, match="has no digest"):
        builder.check_base(base)


def test_the_first_builder_that_answers_builds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.getuid", lambda: 1000)
    assert builder.find_tool(lambda tool: tool in ("podman", "buildah")) == "podman"
    monkeypatch.setattr("os.getuid", lambda: 0)
    assert builder.find_tool(lambda tool: tool in ("podman", "buildah")) == "buildah"
    with pytest.raises(WrongUse, match="no builder of images is usable"):
        builder.find_tool(lambda tool: False)


@pytest.mark.parametrize("tool", ["docker", "podman", "buildah"])
def test_the_build_names_base_commit_sources_and_version(tool: str) -> None:
    asked = words(tool, certificates=Path("/ca.crt"))
    given = {asked[i + 1] for i, word in enumerate(asked) if word == "--build-arg"}
    assert given == {
        f"BASE={BASE}",
        "COMMIT=c0ffee-dirty",
        "SOURCE=d1",
        "VARIANT=cpu",
        "VERSION=7",
    }
    assert "id=certificates,src=/ca.crt" in asked
    assert asked[-1] == "."
    assert ("--isolation" in asked) == (tool == "buildah")


def test_the_gpu_variant_does_not_take_torchs_cpu_build(tmp_path: Path) -> None:
    builder.check_wheels("gpu", tmp_path)
    (tmp_path / "torch-2.13.0+cpu-cp311-cp311-manylinux_2_28_x86_64.whl").touch()
    builder.check_wheels("cpu", tmp_path)
    with pytest.raises(WrongUse, match="torch's CPU build"):
        builder.check_wheels("gpu", tmp_path)


def test_every_argument_that_the_build_gives_is_one_of_the_dockerfile() -> None:
    told = (ROOT / "Dockerfile").read_text()
    known = set(re.findall(r"^ARG (\w+)", told, re.MULTILINE))
    asked = words("docker")
    given = {asked[i + 1].split("=")[0] for i, w in enumerate(asked) if w == "--build-arg"}
    assert given <= known
    assert "USER 10001:0" in told.splitlines()


def test_a_package_that_is_not_pinned_is_named(tmp_path: Path) -> None:
    for name, version in (("good", "1.0"), ("torch", "2.13.0+cpu"), ("Odd_One", "3"), ("new", "2")):
        info = tmp_path / f"{name}-{version}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    wanted = locked.pins(["good==1.0\ntorch==2.13.0\n", 'x = [\n    "odd-one[all]==3",\n]\n'])
    assert locked.strangers(wanted, tmp_path) == ["new==2"]


@pytest.mark.parametrize(
    ("version", "build"), [("2.13.0+cpu", "cpu"), ("2.13.0", "gpu"), ("2.13.0+cu130", "gpu")]
)
def test_the_build_of_torch_is_read_off_its_version(
    tmp_path: Path, version: str, build: str
) -> None:
    assert locked.build_of_torch(tmp_path) == ""
    info = tmp_path / f"torch-{version}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: torch\nVersion: {version}\n")
    assert locked.build_of_torch(tmp_path) == build


def test_the_dependencies_layer_of_one_variant_is_not_taken_for_the_others() -> None:
    """A builder's cache knows a layer by the arguments above it, not by the wheels mounted."""
    told = (ROOT / "Dockerfile").read_text()
    above, install = told.split("uv pip install", 1)[0], told.split("--mount=type=bind,from=wheels")
    assert "ARG VARIANT" in above
    assert '"${VARIANT}"' in install[1].split("COPY")[0]


def test_an_image_of_other_sources_is_not_tested(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    podman = tmp_path / "podman"
    monkeypatch.setenv("PATH", str(tmp_path))

    def answers(said: str, code: int = 0) -> None:
        podman.write_text(f"#!/bin/sh\necho {said}\nexit {code}\n")
        podman.chmod(0o755)

    with pytest.raises(WrongUse, match="podman is not installed"):
        testing.check_image("genco:local")
    answers("", 125)
    with pytest.raises(WrongUse, match="make it with `make image`"):
        testing.check_image("genco:local")
    answers("another")
    with pytest.raises(WrongUse, match="was made of other sources"):
        testing.check_image("genco:local")
    answers(source_digest())
    testing.check_image("genco:local")


def test_sources_that_changed_under_the_build_are_told() -> None:
    builder.check_unchanged(source_digest())
    with pytest.raises(Failed, match="changed while the image was built"):
        builder.check_unchanged("0123456789abcdef")
