"""The day on the real services: S3 from another process, PostgreSQL, Redis, an MLflow server."""

import contextlib
import json
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from message_places import webhook
from mlflow import MlflowClient
from own_ports import free_port
from service_place import Place, require, started
from small_shop import DS, write_config, write_shop

from components.adapters.feature_store import FeatureDoor
from components.adapters.registry import FINGERPRINT, Registry
from components.adapters.storage import open_storage
from components.errors import Conflict, Failed
from components.materialize_features.history import cell_text
from components.promotion import decision_path
from pipelines import deciding, doctor, features, running
from services.upload import upload

CLEARED = ("AWS_", "MLFLOW_", "GENCO_FEAST", "GENCO_REDIS")


@pytest.fixture(scope="module")
def place() -> Iterator[Place]:
    """All four services, and this process's environment pointing at them."""
    with started() as here:
        for name in ("postgres", "redis", "mlflow"):
            require(here, name)
        before = dict(os.environ)
        os.environ.update({k: v for k, v in here.environment().items() if v})
        yield here
        for name in [n for n in os.environ if n.startswith(CLEARED)]:
            os.environ.pop(name)
        os.environ.update(before)


@pytest.fixture(scope="module")
def day(place: Place, tmp_path_factory: pytest.TempPathFactory):
    root = tmp_path_factory.mktemp("services")
    write_shop(root, days=2, impressions=900, products=4)
    upload(root, "s3://genco/small", ["logs", "catalog"])
    config = write_config(root, "s3://genco/small/store", f"work: {root}/work\n")
    text = config.read_text().replace(f"{root}/logs", "s3://genco/small/logs")
    config.write_text(text.replace(f"{root}/catalog", "s3://genco/small/catalog"))
    return config, running.run(config, DS, None, "local")


def test_the_day_is_done_on_s3_with_an_mlflow_server(day) -> None:
    _, summary = day
    assert summary.verdict in ("HOLD", "PROMOTE", "REJECT")
    assert summary.version == 1
    assert summary.bundle.startswith("s3://genco/small/store/")
    names = {o.path.rsplit("/", 1)[-1] for o in open_storage(summary.bundle).listing("")}
    assert {"manifest.json", "reward.safetensors", "generator.safetensors"} <= names


def test_the_same_day_again_is_unchanged_on_s3(day) -> None:
    config, summary = day
    again = running.run(config, DS, None, "local")
    assert (again.verdict, again.version) == ("UNCHANGED", summary.version)


def test_feast_keeps_its_registry_in_postgresql_and_its_values_in_redis(day, place: Place) -> None:
    import psycopg
    import redis

    told = place.environment()
    url = told["GENCO_FEAST_REGISTRY"].replace("postgresql+psycopg://", "postgresql://")
    with psycopg.connect(url) as connection:
        found = connection.execute("SELECT count(*) FROM feature_views").fetchone()
    assert found is not None
    assert found[0] >= 2
    host, port = told["GENCO_REDIS"].split(",")[0].split(":")
    with redis.Redis(host=host, port=int(port)) as client:
        assert client.dbsize() > 0


def test_online_values_in_redis_are_the_tables_in_s3(day) -> None:
    config, _ = day
    told = features.freshness(config, None, 1e6, None)
    assert (told["ds"], told["exit_code"]) == (DS, 0)
    assert told["online"].startswith("redis-")
    assert all(one["sampled"] == one["equal"] > 0 for one in told["views"])
    assert features.plan(config)["changes"] == []  # of the registry in PostgreSQL


def test_a_promotion_is_rolled_back_on_the_services_and_the_doctor_agrees(day) -> None:
    """The version is a PROMOTE by decree, so that there is something to promote and undo."""
    config, _ = day
    desk = deciding.open_desk(config, "anna")
    path = decision_path(desk.registry.get(1).bundle)
    decision = json.loads(desk.storage.read(path)) | {"verdict": "PROMOTE", "author": "scheduler"}
    desk.storage.write(path, json.dumps(decision).encode())
    desk.approve(1, "better where it matters")
    deciding.promote(config, "anna", 1)
    assert desk.registry.aliases()["champion"] == 1
    undone = deciding.rollback(config, "anna", "1", "as an exercise")
    assert undone["kind"] == "rolled back"
    assert desk.ledger.lag() == 0
    desk.registry.point("previous", 1)
    wrong = [one.sentence for one in doctor.examine(config) if one.status == "wrong"]
    assert len(wrong) == 1
    assert "previous" in wrong[0]


def test_an_ad_server_reads_the_champions_top_combinations_from_redis(day, tmp_path) -> None:
    config, _ = day
    manifest = deciding.open_desk(config, "anna").storage.read(f"manifests/ds={DS}.json")
    (entry,) = json.loads(manifest)["tables"]["policy"]
    published = pq.ParquetFile(open_storage("s3://genco/small/store").fetch(entry["path"])).read()
    keys: dict[tuple[str, str], list[dict]] = {}
    for row in published.to_pylist():
        keys.setdefault((row["product_id"], cell_text(row["context"])), []).append(row)
    assert len(keys) > 4
    door = FeatureDoor(tmp_path, "small")  # another machine: the same registry and Redis
    names = {"product_id": [key[0] for key in keys], "cell_key": [key[1] for key in keys]}
    for rows, online in zip(keys.values(), door.online(names, "served").to_pylist(), strict=True):
        shown = [{e["slot"]: e["element"] for e in row["creative"]} for row in rows]
        assert [json.loads(one) for one in online["creatives"]] == shown
        assert online["probabilities"] == pytest.approx([row["probability"] for row in rows])
        assert online["version"] == 1


@pytest.mark.parametrize("known", [True, False])
def test_a_run_that_kubeflows_plug_in_started_is_adopted_where_the_server_has_it(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, known: bool
) -> None:
    """The plug-in gives MLFLOW_TRACKING_URI, MLFLOW_EXPERIMENT_ID and MLFLOW_RUN_ID, and ends it."""
    uri = place.environment()["MLFLOW_TRACKING_URI"]
    client = MlflowClient(uri, uri)
    name = f"adopting-{known}"
    experiment = client.create_experiment(f"kubeflow-{known}")
    given = client.create_run(experiment).info.run_id
    monkeypatch.setenv("MLFLOW_EXPERIMENT_ID", experiment)
    monkeypatch.setenv("MLFLOW_RUN_ID", given if known else "0" * 32)
    made = Registry(uri, name, tmp_path).register(
        "s3://genco/bundle", {FINGERPRINT: "f"}, {"log_loss": 0.2}, {"card.md": "# card"}
    )
    run = client.get_model_version(name, str(made.number)).run_id
    assert (run == given) is known
    assert client.get_run(run).data.metrics == {"log_loss": 0.2}
    assert client.get_run(run).info.status == ("RUNNING" if known else "FINISHED")
    assert (client.get_experiment_by_name(name) is None) is known


def test_mlflow_itself_tells_of_an_alias_that_was_moved_by_hand(
    place: Place, tmp_path: Path
) -> None:
    """MLflow's own webhook reaches `genco notify --listen`, which tells people and the ledger."""
    config = write_config(tmp_path, "s3://genco/heard", f"work: {tmp_path}/work\n")
    config.write_text(config.read_text().replace("name: small", "name: heard"))
    desk = deciding.open_desk(config, "anna")
    desk.registry.register("s3://genco/bundle", {FINGERPRINT: "f"}, {"log_loss": 0.2}, {})
    with webhook() as hook:
        port = str(free_port())
        secret = {"GENCO_MLFLOW_WEBHOOK_SECRET": "a secret of one test"}
        told = {**os.environ, **secret, "GENCO_WEBHOOK_URL": hook.url}
        listen = ["notify", "--config", str(config), "--listen", "--port", port]
        subscribe = ["--subscribe", f"http://127.0.0.1:{port}/mlflow"]
        genco = str(Path(sys.executable).with_name("genco"))
        ear = subprocess.Popen([genco, *listen, *subscribe], env=told)
        try:
            wait(lambda: is_up(f"http://127.0.0.1:{port}/healthz"), 180)
            desk.registry.point("champion", 1)
            wait(lambda: hook.taken)
        finally:
            ear.terminate()
            ear.wait(timeout=30)
    assert "Alias champion was moved to version 1" in hook.taken[0]["text"]
    found = [entry for entry in desk.ledger.entries() if entry["kind"] == "alias moved"]
    assert [(one["alias"], one["moved_to"]) for one in found] == [("champion", 1)]


def is_up(url: str) -> bool:
    with contextlib.suppress(OSError):
        return urllib.request.urlopen(url, timeout=2).status == 200
    return False


def wait(until: Callable[[], object], seconds: float = 60) -> None:
    for _ in range(int(seconds * 10)):
        if until():
            return
        time.sleep(0.1)
    pytest.fail(f"nothing came within {seconds} s")


def test_a_wrong_secret_a_missing_bucket_and_a_lost_race_are_named(place: Place) -> None:
    storage = open_storage("s3://genco/probe")
    storage.replace("one", b"first", None)
    with pytest.raises(Conflict, match="another run"):
        storage.replace("one", b"second", None)
    with pytest.raises(Conflict, match="another run"):
        storage.replace("one", b"second", b"stale")
    with pytest.raises(Failed, match="the bucket does not exist"):
        open_storage("s3://nobody-made-this/x").listing("logs")
    right = os.environ["AWS_SECRET_ACCESS_KEY"]
    os.environ["AWS_SECRET_ACCESS_KEY"] = "wrong"
    try:
        with pytest.raises(Failed, match="the secret is wrong"):
            open_storage("s3://genco/probe").read("one")
    finally:
        os.environ["AWS_SECRET_ACCESS_KEY"] = right
