"""The graph that a cluster gets: nothing installed at run time, every choice explicit.

golden/genco-daily.yaml is the graph as it was reviewed last. After a change that is meant:
`.venv/bin/python -m pipelines.compile --out tests/wiring/golden/genco-daily.yaml`.
"""

from pathlib import Path
from typing import Any

import pytest
import yaml
from kube_schema import part_faults as pod_part_faults
from pydantic import ValidationError

from components.step import PATIENCE
from pipelines.compile import compile_daily
from pipelines.config import Cluster, Config
from pipelines.placement import Step, placed
from pipelines.stages import IO_STAGES, STAGES


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return compile_daily(tmp_path_factory.mktemp("compiled") / "daily.yaml")


@pytest.fixture(scope="module")
def compiled(written: Path) -> dict[str, Any]:
    return next(iter(yaml.safe_load_all(written.read_text())))


@pytest.fixture(scope="module")
def tasks(compiled: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Stage -> its task, out of whichever part of the graph it is in."""
    dags = [compiled["root"]["dag"]]
    dags += [part["dag"] for part in compiled["components"].values() if "dag" in part]
    every = {name.replace("-", "_"): task for dag in dags for name, task in dag["tasks"].items()}
    return {stage: every[stage] for stage in STAGES}


@pytest.fixture(scope="module")
def containers(compiled: dict[str, Any]) -> dict[str, dict[str, Any]]:
    executors = compiled["deploymentSpec"]["executors"]
    return {stage: executors[f"exec-{stage.replace('_', '-')}"]["container"] for stage in STAGES}


def test_nothing_is_installed_at_run_time(written: Path, containers) -> None:
    text = written.read_text()
    assert "pip install" not in text
    assert "pip3" not in text
    assert "kfp==" not in text
    assert len(containers) == len(STAGES)


def test_every_step_runs_the_same_image_by_its_own_name(containers) -> None:
    images = {container["image"] for container in containers.values()}
    assert len(images) == 1
    assert not images & {"python:3.11", "python:3.9", ""}


@pytest.mark.parametrize("stage", STAGES)
def test_a_task_says_that_it_is_not_cached_and_what_it_may_take(stage, tasks, containers) -> None:
    assert "cachingOptions" in tasks[stage]
    assert not tasks[stage]["cachingOptions"].get("enableCache", False)
    limits = containers[stage]["resources"]
    assert float(limits["resourceCpuLimit"].rstrip("m")) > 0
    assert limits["resourceMemoryLimit"].endswith("G")


def test_no_cache_is_switched_on_anywhere(written: Path) -> None:
    assert "enableCache: true" not in written.read_text()


def test_only_train_generator_asks_for_an_accelerator(containers) -> None:
    asked = {
        stage: container["resources"]["accelerator"]
        for stage, container in containers.items()
        if "accelerator" in container["resources"]
    }
    assert set(asked) == {"train_generator"}
    (wanted,) = asked.values()
    assert "nvidia.com/gpu" in wanted.values()
    assert "1" in {str(value) for value in wanted.values()}


def test_a_lost_pod_is_repeated_once_and_only_a_service_that_is_away_is_waited_for(
    tasks, containers
) -> None:
    for task in tasks.values():
        assert task["retryPolicy"]["maxRetryCount"] == 1
        assert task["retryPolicy"]["backoffDuration"] == "30s"
    waiting = {
        stage: [float(pause) for pause in variable["value"].split()]
        for stage, container in containers.items()
        for variable in container.get("env", [])
        if variable["name"] == PATIENCE
    }
    assert set(waiting) == set(IO_STAGES) - {"notify"}
    assert all(pauses == sorted(pauses) and len(pauses) == 3 for pauses in waiting.values())


def test_notify_runs_whatever_happened(compiled, tasks) -> None:
    assert tasks["notify"]["triggerPolicy"] == {"strategy": "ALL_UPSTREAM_TASKS_COMPLETED"}
    assert tasks["notify"]["dependentTasks"] == ["exit-handler-1"]
    assert "exit-handler-1" in compiled["root"]["dag"]["tasks"]
    assert [
        stage for stage in STAGES if "triggerPolicy" in tasks[stage] and stage != "notify"
    ] == []


def test_what_follows_validation_waits_for_a_true_boolean(compiled) -> None:
    validated = compiled["components"]["comp-validate-logs"]["outputDefinitions"]["parameters"]
    assert validated["Output"]["parameterType"] == "BOOLEAN"
    conditions = [
        (name, task["triggerPolicy"]["condition"])
        for part in compiled["components"].values()
        if "dag" in part
        for name, task in part["dag"]["tasks"].items()
        if "condition" in task.get("triggerPolicy", {})
    ]
    ((name, condition),) = conditions
    assert "validate-logs-Output" in condition
    assert condition.endswith("== true")
    inside = compiled["components"][f"comp-{name}"]["dag"]["tasks"]
    waiting = {stage.replace("_", "-") for stage in STAGES[2:-1]}
    assert set(inside) == waiting


def test_the_graph_takes_a_day_and_a_plan(compiled) -> None:
    given = compiled["root"]["inputDefinitions"]["parameters"]
    assert {name: one["parameterType"] for name, one in given.items()} == {
        "ds": "STRING",
        "plan": "STRING",
    }


def test_the_graph_fits_a_custom_resource(written: Path) -> None:
    assert written.stat().st_size < 60_000


# ---- the golden, and the schemas of both documents

GOLDEN = Path(__file__).parent / "golden" / "genco-daily.yaml"
SDK = "sdkVersion"


def documents(file: Path) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all(file.read_text()))


def test_the_graph_is_the_one_that_was_reviewed(written: Path) -> None:
    now, then = documents(written), documents(GOLDEN)
    assert now[0].pop(SDK)
    assert then[0].pop(SDK)
    assert now == then


def test_the_graph_is_what_the_pipeline_spec_takes(compiled: dict[str, Any]) -> None:
    from google.protobuf import json_format
    from kfp.pipeline_spec import pipeline_spec_pb2

    spec = json_format.ParseDict(compiled, pipeline_spec_pb2.PipelineSpec())
    assert len(spec.components) == len(STAGES) + 2  # the exit handler's body, and the condition's
    with pytest.raises(json_format.ParseError, match="unheard"):
        json_format.ParseDict({**compiled, "unheard": 1}, pipeline_spec_pb2.PipelineSpec())


def pods_of(file: Path) -> dict[str, dict[str, Any]]:
    """Stage -> what the platform's document says of its pod."""
    executors = documents(file)[1]["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    return {name.removeprefix("exec-").replace("-", "_"): one for name, one in executors.items()}


def test_the_platforms_part_is_what_kfp_and_kubernetes_take(written: Path) -> None:
    from google.protobuf import json_format
    from kfp.kubernetes import kubernetes_executor_config_pb2 as executor

    pods = pods_of(written)
    assert set(pods) == set(STAGES)
    for pod in pods.values():
        told = json_format.ParseDict(pod, executor.KubernetesExecutorConfig())
        assert told.active_deadline_seconds > 0
        assert pod_faults(pod) == []


def pod_faults(pod: dict[str, Any]) -> list[str]:
    """The parts that Kubernetes itself will read, against its own models."""
    field_paths = [
        {"name": one["name"], "valueFrom": {"fieldRef": {"fieldPath": one["fieldPath"]}}}
        for one in pod.get("fieldPathAsEnv", [])
    ]
    secrets = [
        {
            "name": pair["envVar"],
            "valueFrom": {
                "secretKeyRef": {
                    "name": one["secretName"],
                    "key": pair["secretKey"],
                    "optional": one.get("optional", False),
                }
            },
        }
        for one in pod.get("secretAsEnv", [])
        for pair in one["keyToEnv"]
    ]
    context = {
        name: int(v) if isinstance(v, str) else v for name, v in pod["securityContext"].items()
    }
    return [
        *pod_part_faults("list[V1Toleration]", pod.get("tolerations", [])),
        *pod_part_faults("dict(str, str)", pod.get("nodeSelector", {}).get("labels", {})),
        *pod_part_faults("list[V1EnvVar]", field_paths + secrets),
        *pod_part_faults("V1SecurityContext", context),
    ]


def test_every_pod_is_nobodys_ends_in_time_and_knows_its_run(written: Path) -> None:
    for stage, pod in pods_of(written).items():
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert int(pod["securityContext"]["runAsUser"]) == 10001
        assert 0 < int(pod["activeDeadlineSeconds"]) <= 12 * 3600, stage
        (field,) = pod["fieldPathAsEnv"]
        assert field == {"name": "GENCO_RUN_ID", "fieldPath": "metadata.labels['pipeline/runid']"}


def test_the_config_says_where_pods_run_and_what_they_take(tmp_path: Path) -> None:
    cluster = Cluster.model_validate(
        {
            "steps": {
                "every": {"node_selector": {"pool": "batch"}},
                "train_generator": {
                    "cpu": "16",
                    "hours": 24,
                    "accelerator": "nvidia.com/mig-3g.40gb",
                    "accelerators": 2,
                    "node_selector": {"pool": "gpu"},
                    "tolerations": [{"key": "gpu", "operator": "Exists", "effect": "NoSchedule"}],
                },
            }
        }
    )
    file = compile_daily(tmp_path / "placed.yaml", cluster.steps)
    executors = documents(file)[0]["deploymentSpec"]["executors"]
    asked = executors["exec-train-generator"]["container"]["resources"]
    assert (asked["resourceCpuLimit"], asked["resourceMemoryLimit"]) == ("16", "32G")
    assert asked["accelerator"]["resourceType"] == "nvidia.com/mig-3g.40gb"
    assert asked["accelerator"]["resourceCount"] == "2"
    pods = pods_of(file)
    taint = {"key": "gpu", "operator": "Exists", "effect": "NoSchedule"}
    assert pods["train_generator"]["tolerations"] == [taint]
    assert int(pods["train_generator"]["activeDeadlineSeconds"]) == 24 * 3600
    pools = {stage: pod["nodeSelector"]["labels"]["pool"] for stage, pod in pods.items()}
    assert pools.pop("train_generator") == "gpu"
    assert set(pools.values()) == {"batch"}
    assert [fault for pod in pods.values() for fault in pod_faults(pod)] == []
    alone = compile_daily(tmp_path / "cpu.yaml", {"train_generator": Step(accelerators=0)})
    assert "accelerator" not in alone.read_text()


@pytest.mark.parametrize(
    ("processes", "own", "asked"),
    [(1, {}, 1), (4, {}, 4), (4, {"accelerators": 2}, 2), (4, {"accelerators": 0}, 0)],
)
def test_a_training_asks_for_an_accelerator_a_process_unless_the_config_says_how_many(
    processes: int, own: dict[str, int], asked: int
) -> None:
    training = {"processes": processes}
    shop = {"name": "shop", "logs": "l", "catalog": "c", "store": "s", "slots": ["title"]}
    config = Config.model_validate(
        {
            **shop,
            "train_reward": training,
            "train_generator": training,
            "cluster": {"steps": {"train_generator": own}},
        }
    )
    assert placed("train_generator", config.pods()).accelerators == asked
    assert placed("train_reward", config.pods()).accelerators == 0


@pytest.mark.parametrize(
    "wrong",
    [
        {"steps": {"train": {"cpu": "2"}}},
        {"steps": {"every": {"cpu": "two"}}},
        {"steps": {"every": {"memory": "16"}}},
        {"steps": {"every": {"accelerators": -1}}},
        {"steps": {"every": {"tolerations": [{"effect": "Sometimes"}]}}},
    ],
)
def test_a_pod_that_makes_no_sense_stops_before_anything_is_compiled(wrong: dict) -> None:
    with pytest.raises(ValidationError):
        Cluster.model_validate(wrong)


def test_the_pages_numbers_and_the_curve_are_artifacts_of_their_steps(compiled) -> None:
    shown = {
        stage: {
            one["artifactType"]["schemaTitle"]
            for one in compiled["components"][f"comp-{stage.replace('_', '-')}"]
            .get("outputDefinitions", {})
            .get("artifacts", {})
            .values()
        }
        for stage in STAGES
    }
    assert shown["validate_logs"] == shown["gate_promotion"] == {"system.HTML"}
    assert shown["evaluate_candidate"] == {"system.Metrics", "system.ClassificationMetrics"}
    assert shown["register_version"] == shown["notify"] == {"system.Markdown"}
    assert shown["train_reward"] == shown["train_generator"] == {"system.Metrics"}


def test_people_read_the_names_of_the_run_and_its_tasks(tasks) -> None:
    assert {task["taskInfo"]["name"] for task in tasks.values()} == {
        stage.replace("_", " ") for stage in STAGES
    }
