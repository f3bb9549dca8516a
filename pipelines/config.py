"""The one strict tree of settings (CONTRACT 7), and the plan that stages get of it.

An unknown key or a wrong type stops the run before any data is read. Stages never see the tree:
`plan_of` hands each its own values.
"""

import hashlib
import json
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import Field, ValidationError, field_validator, model_validator

from components.day import Frozen
from components.errors import WrongUse
from components.ingest_logs.traffic import check_test_traffic
from components.notify.sending import Mail
from pipelines.placement import Step, check_names, for_processes
from validation.rulings import Ruling, check_rulings
from validation.sanity.limits import Unusual

Share = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(ge=1)]


class Holdout(Frozen):
    """What judges: the latest `days`, or a `share` of the products in order of time."""

    days: Count | None = None
    share: Annotated[float, Field(gt=0, lt=1)] | None = None

    @model_validator(mode="after")
    def _one(self) -> "Holdout":
        if (self.days is None) == (self.share is None):
            raise ValueError("say either days or share")
        return self


class Reward(Frozen):
    """What a display earns."""

    target: Literal["click", "conversion", "value"] = "click"


class Attribution(Frozen):
    """How long after its display an event still counts, and how late its row may arrive."""

    click_hours: Positive = 1.0
    conversion_days: Positive = 7.0
    late_days: Annotated[int, Field(ge=0)] = 1


class Quality(Frozen):
    """What share of a day's rows may be unfit, how many displays a person sees a day, and from
    where a day is called unusual (validation/sanity/findings.py; these warn).

    rules: by rule id, its severity and the share of a day that may break it. test_traffic: by
    column (user_id, policy, context.device, ...) patterns of displays that no customer saw.
    """

    quarantined_share: Share = 0.05
    displays_a_user: Count = 200
    rules: dict[str, Ruling] = {}
    test_traffic: dict[str, tuple[str, ...]] = {}
    unusual: Unusual = Unusual()

    @field_validator("rules")
    @classmethod
    def _rules_exist(cls, rules: dict[str, Ruling]) -> dict[str, Ruling]:
        check_rulings(rules)
        return rules


class Ingest(Frozen):
    """The engine of the joins, its memory, and its threads (null: one a core)."""

    engine: Literal["duckdb", "spark"] = "duckdb"
    memory: str = "2GB"
    threads: Annotated[int, Field(ge=1)] | None = None


class Features(Frozen):
    """Where Feast keeps its registry and its online values, what joins (spark: extra `spark`), and
    what embeds texts (extra `text`)."""

    registry: str | None = None
    redis: str | None = None
    offline: Literal["duckdb", "spark"] = "duckdb"
    text_encoder: Literal["minilm"] | None = None


class Training(Frozen):
    """Overrides of a stage's own defaults, by name (model/reward/fit.py, model/generator/fit.py).

    processes: how many learn together on one machine, a GPU each where there are some.
    checkpoints: in the work folder of this machine, or in the store, from where any goes on.
    """

    device: Literal["auto", "cpu", "cuda"] = "auto"
    options: dict[str, float | int | str | bool] = {}
    processes: Count = 1
    checkpoints: Literal["work", "store"] = "work"


class RewardTraining(Training):
    """start: the champion's weights instead of none; a day judged against another champion is then
    another attempt."""

    start: Literal["nothing", "champion"] = "nothing"


class Registry(Frozen):
    """MLflow: its tracking URI (default: SQLite beside the store).

    trusted_keys: public keys whose signatures count, each PEM, base64 or a file of either;
    with none, the keys that the store publishes (docs/keys.md).
    """

    tracking_uri: str | None = None
    trusted_keys: tuple[str, ...] = ()


class Identity(Frozen):
    """Whose tokens (GENCO_ID_TOKEN) say who acts; jwks: a file or an https URL of its keys."""

    issuer: str
    audience: str
    jwks: str


class Publish(Frozen):
    """CONTRACT 5: shares of exploration, candidates, temperature relative to the mean reward.

    sampled: the share of displays that follow rewards drawn from the ensemble, `deviation` of its
    own distance off the mean one; it learns faster and earns less today (docs/contract.md).
    """

    explore: Share = 0.02
    uniform: Share = 0.02
    sampled: Share = 0.0
    deviation: Positive = 0.3
    temperature: Positive = 0.02
    candidates: Count = 32
    cells: tuple[str, ...] | None = None
    top: Count = 20

    @model_validator(mode="after")
    def _one_distribution(self) -> "Publish":
        if self.explore + self.uniform + self.sampled > 1:
            raise ValueError(
                f"explore {self.explore}, uniform {self.uniform} and sampled {self.sampled} add up "
                "to more than 1; expected shares of all displays"
            )
        return self


class Gate(Frozen):
    """Limits by gate, as in validation/gate/limits.py; None takes its defaults."""

    limits: dict[str, dict[str, Any]] | None = None
    draws: Count = 1000


class Notify(Frozen):
    """Where the run's one message goes beside the log, and MLflow's secret for `notify --listen`.

    webhook_env and mlflow_secret_env name variables of the environment that hold the secret.
    pages: the URL under which people open what lies in the store, for the message's links.
    """

    webhook_env: str = "GENCO_WEBHOOK_URL"
    mail: Mail | None = None
    pages: str | None = None
    mlflow_secret_env: str = "GENCO_MLFLOW_WEBHOOK_SECRET"


class Cluster(Frozen):
    """Kubeflow Pipelines: host (else KF_PIPELINES_ENDPOINT), whose token, and how a run is followed.

    token_env names the variable that holds the bearer token. image: NAME@sha256:DIGEST of the
    steps (else GENCO_IMAGE). work: scratch inside a step's pod.
    schedules: the file that `genco schedule` keeps recurring runs equal to, for `genco doctor`.
    steps: limits and nodes of a stage's pods, or of `every` one's.
    """

    host: str | None = None
    namespace: str | None = None
    token_env: str = "GENCO_KFP_TOKEN"
    service_account: str | None = None
    pipeline: str = "genco-daily"
    image: str | None = None
    work: str = "/tmp/genco"
    timeout_s: Count = 30
    poll_s: Positive = 10.0
    wait_hours: Positive = 24.0
    schedules: str | None = None
    steps: dict[str, Step] = {}

    @field_validator("steps")
    @classmethod
    def _known(cls, steps: dict[str, Step]) -> dict[str, Step]:
        check_names(steps)
        return steps


class Config(Frozen):
    """A source and how its day is run; the least it must say is CONTRACT 7."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$")]
    logs: str
    catalog: str
    store: str
    slots: Annotated[tuple[str, ...], Field(min_length=1)]
    context: dict[str, Literal["categorical", "number"]] = {}
    window_days: Count = 28
    holdout: Holdout = Holdout(days=2)
    reward: Reward = Reward()
    optional_slots: tuple[str, ...] | None = None
    seed: int = 0
    endpoint_url: str | None = None
    work: str | None = None
    attribution: Attribution = Attribution()
    quality: Quality = Quality()
    ingest: Ingest = Ingest()
    features: Features = Features()
    train_reward: RewardTraining = RewardTraining()
    train_generator: Training = Training()
    registry: Registry = Registry()
    identity: Identity | None = None
    publish: Publish = Publish()
    gate: Gate = Gate()
    notify: Notify = Notify()
    cluster: Cluster = Cluster()

    @field_validator("slots")
    @classmethod
    def _distinct(cls, slots: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(slots)) != len(slots):
            raise ValueError(f"slots repeat: {', '.join(slots)}")
        return slots

    @model_validator(mode="after")
    def _known_names(self) -> "Config":
        unknown = set(self.optional_slots or ()) - set(self.slots)
        if unknown:
            raise ValueError(f"optional_slots names no slot: {', '.join(sorted(unknown))}")
        strangers = set(self.publish.cells or ()) - set(self.context)
        if strangers:
            raise ValueError(f"publish.cells names no context: {', '.join(sorted(strangers))}")
        if self.publish.sampled and self.train_reward.options.get("members") == 1:
            raise ValueError(
                "publish.sampled needs rewards to draw, and train_reward.options.members is 1; "
                "expected 2 members or more, or publish.sampled: 0"
            )
        try:
            check_test_traffic(self.quality.test_traffic, self.context)
        except ValueError as error:
            raise ValueError(f"quality.test_traffic: {error}") from error
        return self

    def pods(self) -> dict[str, Step]:
        """cluster.steps, with an accelerator for each process of a training that gets any."""
        trainings = {"train_reward": self.train_reward, "train_generator": self.train_generator}
        processes = {stage: one.processes for stage, one in trainings.items()}
        return for_processes(self.cluster.steps, processes)

    def digest(self) -> str:
        """Names what the config says of the work, not where things lie."""
        places = {
            "logs",
            "catalog",
            "store",
            "endpoint_url",
            "work",
            "registry",
            "features",
            "notify",
            "cluster",
        }
        meaning = self.model_dump(mode="json", exclude=places)
        for stage in ("train_reward", "train_generator"):
            del meaning[stage]["checkpoints"]
        meaning["text_encoder"] = self.features.text_encoder
        text = json.dumps(meaning, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


def load_config(file: Path, **overrides: Any) -> Config:
    """The config in a YAML file; WrongUse names every key that is not as expected."""
    try:
        tree = yaml.safe_load(file.read_text())
    except OSError as error:
        raise WrongUse(
            f"config {file} cannot be read: {error.strerror}; give --config FILE"
        ) from error
    except yaml.YAMLError as error:
        raise WrongUse(f"config {file} is not YAML: {' '.join(str(error).split())}") from error
    if not isinstance(tree, dict):
        raise WrongUse(f"config {file} holds {type(tree).__name__}, expected keys as in CONTRACT 7")
    tree |= {key: value for key, value in overrides.items() if value is not None}
    try:
        return Config.model_validate(tree)
    except ValidationError as error:
        raise WrongUse(_sentence(file, error)) from error


_NAMED = {
    "extra_forbidden": "unknown key",
    "unexpected_keyword_argument": "unknown key",
    "missing": "missing",
}


def _sentence(file: Path, error: ValidationError) -> str:
    faults = []
    for fault in error.errors():
        where = ".".join(str(part) for part in fault["loc"]) or "the whole"
        named = _NAMED.get(fault["type"])
        found = "" if named else f", found {fault['input']!r}"
        said = named or fault["msg"].removeprefix("Value error, ")
        faults.append(f"{where}: {said}{found}")
    return (
        f"config {file} is not valid: {'; '.join(faults)}; `genco run --schema` prints every key "
        "with its type and default"
    )
