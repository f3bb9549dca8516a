"""A tiny day in containers on S3 of another process publishes the in-process day's files.

Asked for by GENCO_TEST_CONTAINERS=1 (docs/images.md): DOCKER_HOST names the socket, GENCO_IMAGE
the image, made of the very sources that are tested here.
"""

import hashlib
import json
import math
import os
import re
from collections.abc import Iterator
from typing import Any

import pytest
from service_place import Place, started
from small_shop import DS, write_config, write_shop

from components.adapters.storage import open_storage
from pipelines import kfp_local, running
from pipelines.config import load_config
from services.upload import upload

if os.environ.get("GENCO_TEST_CONTAINERS") != "1":
    pytest.skip("GENCO_TEST_CONTAINERS=1 asks for containers", allow_module_level=True)

pytestmark = pytest.mark.timeout(2400)  # a day, and a container for each of its steps
TOLD_BY_THE_CLOCK = (".html", "ledger", "gate_promotion/")
BUCKET = "s3://genco/small"


@pytest.fixture(scope="module")
def place() -> Iterator[Place]:
    """An S3 server, and this process's environment pointing at it."""
    with started(("s3",)) as here, pytest.MonkeyPatch.context() as patch:
        for name, text in here.environment().items():
            patch.setenv(name, text)
        yield here


@pytest.fixture(scope="module")
def doors(place: Place, tmp_path_factory: pytest.TempPathFactory):
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import (
        Encoding,
        NoEncryption,
        PrivateFormat,
        PublicFormat,
    )

    root = tmp_path_factory.mktemp("containers")
    for folder in (root, *root.parents[:2]):
        folder.chmod(0o755)
    key = Ed25519PrivateKey.generate()
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    trusted = f"registry: {{trusted_keys: [{json.dumps(public.decode())}]}}\n"
    write_shop(root, days=2, impressions=900, products=4)
    upload(root, BUCKET, ["logs", "catalog"])
    summaries = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GENCO_SIGNING_KEY", private)
        for door in ("here", "containers"):
            work = f"work: {root}/work-{door}\n"
            config = write_config(root, f"{BUCKET}/{door}", work + trusted)
            text = config.read_text().replace(f"{root}/logs", f"{BUCKET}/logs")
            config.write_text(text.replace(f"{root}/catalog", f"{BUCKET}/catalog"))
            if door == "here":
                summaries[door] = running.run(config, DS, None, "local")
            else:
                plan = running.make_plan(load_config(config))
                summaries[door] = kfp_local.run_day(plan, DS, print, containers=True)
    return summaries


def files_of(door: str) -> dict[str, str]:
    """Digest of every published file below the door's store that does not tell the time."""
    storage = open_storage(f"{BUCKET}/{door}")
    return {
        stored.path: hashlib.sha256(storage.read(stored.path)).hexdigest()
        for part in ("days", "manifests", "catalogs")
        for stored in storage.listing(part)
        if not any(word in stored.path for word in TOLD_BY_THE_CLOCK)
    }


def alike(one: Any, other: Any) -> bool:
    """The same JSON, numbers to nine digits; a digest (64 hex digits) may be of a file told apart."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(alike(one[k], other[k]) for k in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(alike, one, other))
    if isinstance(one, float) and isinstance(other, float):
        return math.isclose(one, other, rel_tol=1e-9, abs_tol=1e-12)
    return one == other or all(
        isinstance(text, str) and re.fullmatch("[0-9a-f]{64}", text) for text in (one, other)
    )


def versions_of(sbom: bytes) -> dict[str, str]:
    parts = json.loads(sbom)["components"]
    return {part["name"].lower(): part["version"].split("+")[0] for part in parts}


def test_the_day_in_containers_publishes_the_same_files(doors) -> None:
    """The same bytes, but for what tells of the machine: the packages that are installed, and what
    another C library rounds in its last digit (a logarithm of the calibration, intervals)."""
    here, containers = files_of("here"), files_of("containers")
    assert len(here) > 30
    assert sorted(here) == sorted(containers)
    told = {}
    for path in (path for path in here if here[path] != containers[path]):
        own, other = (open_storage(f"{BUCKET}/{d}").read(path) for d in ("here", "containers"))
        name = path.rsplit("/", 1)[-1]
        if name == "sbom.json":
            ours, theirs = versions_of(own), versions_of(other)
            shared = ours.keys() & theirs.keys()
            assert shared >= {"torch", "duckdb", "kfp", "mlflow"}
            assert {n: ours[n] for n in shared} == {n: theirs[n] for n in shared}
        elif name != "signature":  # of a manifest that names the SBOM's digest
            assert alike(json.loads(own), json.loads(other)), path
        told[name] = path
    assert set(told) >= {"sbom.json", "signature"}
    assert all(name.endswith(".json") or name == "signature" for name in told), told


def test_the_day_in_containers_tells_the_same_story(doors) -> None:
    here, there = doors["here"], doors["containers"]
    assert here.verdict in ("HOLD", "PROMOTE", "REJECT")
    assert (here.verdict, here.version) == (there.verdict, there.version)
