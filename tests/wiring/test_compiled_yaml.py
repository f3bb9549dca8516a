"""The graph that a cluster gets: nothing installed at run time, every choice explicit."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from pipelines.compile import compile_daily
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


def test_only_the_io_stages_are_tried_again(tasks) -> None:
    retried = {stage for stage, task in tasks.items() if "retryPolicy" in task}
    assert retried == set(IO_STAGES)
    assert IO_STAGES.isdisjoint({"train_reward", "train_generator", "evaluate_candidate"})
    for stage in retried:
        policy = tasks[stage]["retryPolicy"]
        assert policy["maxRetryCount"] > 0
        assert policy["backoffFactor"] >= 1


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
