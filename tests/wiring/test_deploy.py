"""What deploy/ would put on a cluster: valid, least rights, pinned, without a secret's value."""

import shutil
import subprocess
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import yaml
from kube_schema import faults

from components.errors import WrongUse
from pipelines import one_stage
from pipelines.config import load_config
from pipelines.scheduling import read_schedules

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
FILES = sorted((DEPLOY / "base").glob("*.yaml"))
SPARK = sorted((DEPLOY / "spark").glob("*.yaml"))
NOT_KUBERNETES = {"kustomization.yaml", "fields.yaml"}
MANIFESTS = [
    pytest.param(one, id=f"{file.name}-{one['kind']}-{one['metadata']['name']}")
    for file in [*FILES, *SPARK]
    if file.name not in NOT_KUBERNETES
    for one in yaml.safe_load_all(file.read_text())
]
OVERLAYS = sorted(folder.name for folder in (DEPLOY / "overlays").iterdir())


def of_kind(*kinds: str) -> list[dict[str, Any]]:
    return [one.values[0] for one in MANIFESTS if one.values[0]["kind"] in kinds]


def named(kind: str, name: str) -> dict[str, Any]:
    (found,) = [one for one in of_kind(kind) if one["metadata"]["name"] == name]
    return deepcopy(found)


def containers() -> list[dict[str, Any]]:
    return [c for d in of_kind("Deployment") for c in d["spec"]["template"]["spec"]["containers"]]


@pytest.mark.parametrize("manifest", MANIFESTS)
def test_a_manifest_is_what_kubernetes_takes(manifest: dict[str, Any]) -> None:
    assert faults(manifest) == []


def test_a_manifest_with_a_mistake_is_found() -> None:
    deployment = named("Deployment", "mlflow")
    deployment["spec"]["template"]["spec"]["containers"][0]["imagePolicy"] = "Always"
    deployment["spec"]["replicas"] = "two"
    del deployment["spec"]["selector"]
    said = " ".join(faults(deployment))
    assert "unknown field imagePolicy" in said
    assert "'two' is no int" in said
    assert "selector" in said
    job = named("TrainJob", "train-reward")
    job["spec"]["trainer"]["env"][0]["valeu"] = "x"
    assert "unknown field valeu" in " ".join(faults(job))


def test_every_file_of_the_base_but_the_secrets_shape_is_in_the_kustomization() -> None:
    told = yaml.safe_load((DEPLOY / "base" / "kustomization.yaml").read_text())
    there = {file.name for file in FILES} - NOT_KUBERNETES - {"secrets.example.yaml"}
    assert set(told["resources"]) == there


def test_no_account_may_do_more_than_is_named() -> None:
    assert of_kind("ClusterRole", "ClusterRoleBinding") == []
    rules = [rule for role in of_kind("Role") for rule in role["rules"]]
    assert rules
    for rule in rules:
        assert "*" not in rule["verbs"] + rule["resources"] + rule["apiGroups"]
        assert not {"secrets", "pods/exec"} & set(rule["resources"])
    accounts = {one["metadata"]["name"] for one in of_kind("ServiceAccount")}
    for binding in of_kind("RoleBinding"):
        assert binding["roleRef"]["name"] in {r["metadata"]["name"] for r in of_kind("Role")}
        assert {subject["name"] for subject in binding["subjects"]} <= accounts


def test_secrets_have_a_shape_and_no_values() -> None:
    for secret in of_kind("Secret"):
        assert set(secret["stringData"].values()) == {""}
        assert "data" not in secret
    shape = {one["metadata"]["name"]: set(one["stringData"]) for one in of_kind("Secret")}
    jobs = [job["spec"]["trainer"] for job in of_kind("TrainJob")]
    jobs += [
        job["spec"][pod] for job in of_kind("SparkApplication") for pod in ("driver", "executor")
    ]
    for taken in containers() + jobs:
        for variable in taken["env"]:
            if wanted := variable.get("valueFrom", {}).get("secretKeyRef"):
                assert wanted["key"] in shape[wanted["name"]]


def test_servers_run_as_nobody_on_a_root_that_cannot_be_written() -> None:
    for deployment in of_kind("Deployment"):
        assert deployment["spec"]["template"]["spec"]["securityContext"]["runAsNonRoot"] is True
    for container in containers():
        own = container["securityContext"]
        assert own["readOnlyRootFilesystem"] is True
        assert own["allowPrivilegeEscalation"] is False
        assert own["capabilities"] == {"drop": ["ALL"]}
        assert set(container["resources"]) == {"requests", "limits"}
        assert "readinessProbe" in container


def test_nothing_goes_in_or_out_that_no_policy_names() -> None:
    policy = named("NetworkPolicy", "nothing-by-default")["spec"]
    assert policy == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    for other in of_kind("NetworkPolicy"):
        for way in other["spec"].get("egress", []) + other["spec"].get("ingress", []):
            assert way["ports"]


@pytest.mark.parametrize("place", OVERLAYS)
def test_an_overlay_has_a_config_and_schedules_that_are_valid_and_pinned(place: str) -> None:
    folder = DEPLOY / "overlays" / place
    config = load_config(folder / "genco.yaml")
    told = read_schedules(folder / (config.cluster.schedules or ""))
    kustomization = yaml.safe_load((folder / "kustomization.yaml").read_text())
    assert told.config == "genco.yaml"
    assert {(one.max_concurrency, one.catch_up) for one in told.schedules} == {(1, False)}
    assert config.cluster.namespace == kustomization["namespace"]
    assert config.cluster.service_account in {
        one["metadata"]["name"] for one in of_kind("ServiceAccount")
    }
    (image,) = kustomization["images"]
    assert config.cluster.image is not None
    assert config.cluster.image.endswith(f"@{image['digest']}")


@pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl builds the overlays")
@pytest.mark.parametrize("place", OVERLAYS)
def test_an_overlay_builds_into_valid_manifests_with_a_pinned_image(place: str) -> None:
    command = ["kubectl", "kustomize", str(DEPLOY / "overlays" / place)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    built = list(yaml.safe_load_all(done.stdout))
    assert {fault for one in built for fault in faults(one)} == set()
    assert "image: genco\n" not in done.stdout
    assert done.stdout.count("image: genco@sha256:") == len(containers()) + 2
    spaces = {one["metadata"].get("namespace") for one in built if one["kind"] != "Namespace"}
    (space,) = [one["metadata"]["name"] for one in built if one["kind"] == "Namespace"]
    assert spaces == {space}


def test_feasts_server_gets_the_settings_that_the_day_writes_by(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import os

    from feast.repo_config import RepoConfig

    monkeypatch.setenv("GENCO_PROJECT", "shop")
    monkeypatch.setenv("GENCO_FEAST_REGISTRY", "postgresql+psycopg://feast@db/feast")
    monkeypatch.setenv("GENCO_REDIS", "redis:6379")
    text = named("ConfigMap", "feast")["data"]["feature_store.yaml"]
    settings = RepoConfig(**yaml.safe_load(os.path.expandvars(text)))
    assert (settings.online_store.type, settings.offline_store.type) == ("redis", "duckdb")
    assert settings.registry.registry_type == "sql"
    assert settings.entity_key_serialization_version == 3


# ---- the TrainJobs' command


@pytest.mark.parametrize("job", of_kind("TrainJob"), ids=lambda job: job["metadata"]["name"])
def test_a_trainjob_calls_a_stage_that_is_there_with_what_it_needs(job: dict[str, Any]) -> None:
    trainer = job["spec"]["trainer"]
    assert trainer["command"] == ["torchrun"]
    assert trainer["args"][:2] == ["-m", "pipelines.one_stage"]
    assert trainer["args"][2] in one_stage.TRAINING
    gpus = int(trainer["resourcesPerNode"]["limits"].get("nvidia.com/gpu", "1"))
    assert trainer["numProcPerNode"] == gpus
    given = {variable["name"]: variable.get("value", "x") for variable in trainer["env"]}
    with pytest.raises(WrongUse, match="GENCO_DS, GENCO_ATTEMPT not set"):
        one_stage.run(trainer["args"][2], given)


@pytest.mark.parametrize(
    ("name", "missing"),
    [("ingest-logs", "GENCO_DS not set"), ("materialize-features", "GENCO_DS, GENCO_ATTEMPT not")],
)
def test_a_sparkapplication_calls_a_stage_that_is_there_with_what_it_needs(
    name: str, missing: str
) -> None:
    spec = named("SparkApplication", name)["spec"]
    inside = spec["mainApplicationFile"].removeprefix("local:///opt/genco/")
    assert (DEPLOY.parent / inside).resolve() == Path(one_stage.__file__)
    assert spec["arguments"] == [name.replace("-", "_")]
    assert spec["sparkVersion"] == pinned_spark()
    accounts = {one["metadata"]["name"] for one in of_kind("ServiceAccount")}
    assert spec["driver"]["serviceAccount"] in accounts
    for pod in (spec["driver"], spec["executor"]):
        assert pod["securityContext"]["runAsNonRoot"] is True
        given = {one["name"]: one.get("value", "x") for one in pod["env"]}
        assert given["SPARK_MASTER"].startswith("k8s://")
        with pytest.raises(WrongUse, match=missing):
            one_stage.run(spec["arguments"][0], given)
    spec["executor"]["instnaces"] = 4
    wrong = {**named("SparkApplication", name), "spec": spec}
    assert "unknown field instnaces" in " ".join(faults(wrong))


def test_feasts_tables_lie_where_driver_and_executors_see_them() -> None:
    spec = named("SparkApplication", "materialize-features")["spec"]
    (volume,) = spec["volumes"]
    claim = named("PersistentVolumeClaim", volume["persistentVolumeClaim"]["claimName"])
    assert claim["spec"]["accessModes"] == ["ReadWriteMany"]
    mounts = [pod["volumeMounts"] for pod in (spec["driver"], spec["executor"])]
    assert mounts == [[{"name": volume["name"], "mountPath": "/work"}]] * 2


def pinned_spark() -> str:
    import tomllib

    project = tomllib.loads((DEPLOY.parent / "pyproject.toml").read_text())["project"]
    (pin,) = project["optional-dependencies"]["spark"]
    return pin.partition("==")[2]


def test_only_a_stage_that_finds_all_in_the_store_is_run_alone() -> None:
    with pytest.raises(WrongUse, match="does not run alone"):
        one_stage.run("notify", {})
    assert one_stage.main([]) == 2


def test_the_graph_takes_exactly_the_secret_that_deploy_describes(tmp_path: Path) -> None:
    from pipelines.compile import compile_daily
    from pipelines.daily import SECRET, SECRETS
    from pipelines.stages import STAGES

    assert set(named("Secret", SECRET)["stringData"]) == set(SECRETS)
    graph, platform = yaml.safe_load_all(compile_daily(tmp_path / "daily.yaml").read_text())
    executors = platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    assert len(executors) == len(STAGES) == len(graph["deploymentSpec"]["executors"])
    for executor in executors.values():
        (taken,) = executor["secretAsEnv"]
        assert (taken["secretName"], taken["optional"]) == (SECRET, True)
        assert {pair["envVar"] for pair in taken["keyToEnv"]} == set(SECRETS)
