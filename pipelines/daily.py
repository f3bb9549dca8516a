"""The daily retrain as a Kubeflow pipeline.

Steps, in order:
    ingest_logs            logs and catalog -> raw bags
    validate_logs          raw bags -> fit bags, quarantine, data page; an unfit day ends here
    materialize_features   fit bags -> features, training set
    train_reward           training set -> reward model
    train_generator        training set, reward model -> generator, draft bundle
    evaluate_candidate     held-out bags, champion, candidate -> evidence
    register_version       draft, evidence -> sealed bundle, MLflow version
    gate_promotion         evidence, limits -> verdict, promotion page, ledger entry
    publish_policy         champion's bundle -> published policy
    notify                 whatever happened -> one message

Every step is safe to repeat: its work is named by its inputs, so a repeated step finds what is
there. KFP's own cache is therefore off everywhere. A pod that was lost is repeated once; a step
that failed for a service's sake waits and tries again by itself (components/step.py).
"""

from collections.abc import Mapping
from typing import Any

from kfp import dsl, kubernetes

from components.evaluate_candidate.component import evaluate_candidate
from components.gate_promotion.component import gate_promotion
from components.ingest_logs.component import ingest_logs
from components.materialize_features.component import materialize_features
from components.notify.component import notify
from components.publish_policy.component import publish_policy
from components.register_version.component import register_version
from components.train_generator.component import train_generator
from components.train_reward.component import train_reward
from components.validate_logs.component import validate_logs
from pipelines.placement import Step, placed
from pipelines.stages import IO_STAGES

PATIENCE_S = "30 120 600"  # between tries of a step whose services are away
TRIES = 2  # of a pod, in case that it is lost
RUN_LABEL = "metadata.labels['pipeline/runid']"

SECRET = "genco"  # deploy/base/secrets.example.yaml has its shape; parameters hold no secret
SECRETS = (
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "GENCO_SIGNING_KEY",
    "GENCO_FEAST_REGISTRY",
    "GENCO_REDIS",
    "GENCO_WEBHOOK_URL",
    "GENCO_SMTP_PASSWORD",
)
SETTINGS = (
    "GENCO_LOG",
    "OPENLINEAGE_URL",
    "OTEL_EXPORTER_OTLP_ENDPOINT",
)  # deploy/base/config.yaml
Steps = Mapping[str, Step]


def settled(task: dsl.PipelineTask, stage: str, steps: Steps, tries: int) -> dsl.PipelineTask:
    """The task with its name, no cache, its tries, its pod's limits and nodes, and its secrets."""
    task.set_display_name(stage.replace("_", " "))
    task.set_caching_options(False)
    if tries > 1:
        task.set_retry(num_retries=tries - 1, backoff_duration="30s", backoff_factor=2)
        if stage in IO_STAGES and stage != "notify":  # who was told once is not told again
            task.set_env_variable("GENCO_PATIENCE_S", PATIENCE_S)
    kubernetes.use_field_path_as_env(task, "GENCO_RUN_ID", RUN_LABEL)
    names = {name: name for name in SECRETS}
    kubernetes.use_secret_as_env(task, SECRET, names, optional=True)
    kubernetes.use_config_map_as_env(task, SECRET, {n: n for n in SETTINGS}, optional=True)
    return _on_nodes(task, placed(stage, steps))


def _on_nodes(task: dsl.PipelineTask, step: Step) -> dsl.PipelineTask:
    """The task's pod within these limits, on these nodes, as nobody."""
    kubernetes.set_security_context(task, run_as_user=10001, run_as_group=0, run_as_non_root=True)
    kubernetes.set_timeout(task, int((step.hours or 0) * 3600))
    task.set_cpu_limit(step.cpu or "2").set_memory_limit(step.memory or "8G")
    if step.accelerators:
        task.set_accelerator_type(step.accelerator or "").set_accelerator_limit(step.accelerators)
    for key, value in step.node_selector.items():
        kubernetes.add_node_selector(task, key, value)
    for taint in step.tolerations:
        kubernetes.add_toleration(task, taint.key, taint.operator, taint.value, taint.effect)
    return task


def graph(steps: Steps, tries: int = TRIES) -> Any:
    """The daily pipeline with its pods as `steps` says; a pod is tried so often."""

    def placed_task(task: dsl.PipelineTask, *after: dsl.PipelineTask) -> dsl.PipelineTask:
        stage = task.component_spec.name.replace("-", "_")
        return settled(task.after(*after) if after else task, stage, steps, tries)

    @dsl.pipeline(name="genco-daily", description="Learn from yesterday, judge, and ask a person.")
    def daily(ds: str, plan: str):
        """One day's retrain; `plan` is `genco run`'s settings as JSON (pipelines/plan.py)."""
        last = placed_task(notify(ds=ds, plan=plan))
        with dsl.ExitHandler(last, name="the day"):
            day = placed_task(ingest_logs(ds=ds, plan=plan)).output
            fit = placed_task(validate_logs(day=day, plan=plan))
            is_fit = fit.outputs["Output"] == True  # noqa: E712 (KFP overloads ==)
            with dsl.If(is_fit, name="the day is fit"):
                features = placed_task(materialize_features(day=day, plan=plan))
                reward = placed_task(train_reward(day=day, plan=plan), features)
                generator = placed_task(train_generator(day=day, plan=plan), reward)
                judging = placed_task(evaluate_candidate(day=day, plan=plan), generator)
                told = {"day": day, "plan": plan, "evidence": judging.outputs["Output"]}
                version = placed_task(register_version(**told)).outputs["Output"]
                judged = placed_task(gate_promotion(**told, version=version))
                placed_task(publish_policy(day=day, plan=plan, version=version), judged)

    return daily
