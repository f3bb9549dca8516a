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
there. KFP's own cache is therefore off everywhere, and I/O steps are retried.
"""

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
from pipelines.stages import IO_STAGES

ACCELERATOR = "nvidia.com/gpu"
RESOURCES = {
    "train_reward": ("4", "16G"),
    "train_generator": ("8", "32G"),
    "evaluate_candidate": ("4", "16G"),
}

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


def settled(task: dsl.PipelineTask, stage: str) -> dsl.PipelineTask:
    """The task with cache choice, retries, resources, secrets and a name that a person can read."""
    kubernetes.use_secret_as_env(task, SECRET, {name: name for name in SECRETS}, optional=True)
    task.set_caching_options(False)
    task.set_display_name(stage.replace("_", " "))
    cpu, memory = RESOURCES.get(stage, ("2", "8G"))
    task.set_cpu_limit(cpu).set_memory_limit(memory)
    if stage in IO_STAGES:
        task.set_retry(
            num_retries=3, backoff_duration="30s", backoff_factor=2, backoff_max_duration="10m"
        )
    if stage == "train_generator":
        task.set_accelerator_type(ACCELERATOR).set_accelerator_limit(1)
    return task


@dsl.pipeline(name="genco-daily", description="Learn from yesterday, judge, and ask a person.")
def daily(ds: str, plan: str):
    """One day's retrain; `plan` is `genco run`'s settings as JSON (pipelines/plan.py)."""
    last = settled(notify(ds=ds, plan=plan), "notify")
    with dsl.ExitHandler(last, name="the day"):
        day = settled(ingest_logs(ds=ds, plan=plan), "ingest_logs").output
        fit = settled(validate_logs(day=day, plan=plan), "validate_logs")
        with dsl.If(fit.output == True, name="the day is fit"):  # noqa: E712 (KFP overloads ==)
            features = settled(materialize_features(day=day, plan=plan), "materialize_features")
            reward = settled(train_reward(day=day, plan=plan).after(features), "train_reward")
            generator = settled(
                train_generator(day=day, plan=plan).after(reward), "train_generator"
            )
            evidence = settled(
                evaluate_candidate(day=day, plan=plan).after(generator), "evaluate_candidate"
            ).output
            version = settled(
                register_version(day=day, plan=plan, evidence=evidence), "register_version"
            ).output
            judged = settled(
                gate_promotion(day=day, plan=plan, evidence=evidence, version=version),
                "gate_promotion",
            )
            settled(
                publish_policy(day=day, plan=plan, version=version).after(judged), "publish_policy"
            )
