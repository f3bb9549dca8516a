"""A tiny day in containers on S3 of another process publishes the in-process day's bytes.

Asked for by GENCO_TEST_CONTAINERS=1 (docs/images.md): DOCKER_HOST names the socket, GENCO_IMAGE
the image, made of the very sources that are tested here.
"""

import hashlib
import json
import os
from collections.abc import Iterator

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


def test_the_day_in_containers_publishes_the_same_bytes(doors) -> None:
    here, containers = files_of("here"), files_of("containers")
    assert len(here) > 30
    assert sorted(here) == sorted(containers)
    assert [path for path in here if here[path] != containers[path]] == []


def test_the_day_in_containers_tells_the_same_story(doors) -> None:
    here, there = doors["here"], doors["containers"]
    assert here.verdict in ("HOLD", "PROMOTE", "REJECT")
    assert (here.verdict, here.version) == (there.verdict, there.version)
