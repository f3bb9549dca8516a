"""Config -> plan: for each stage, exactly the values that it takes, as one JSON document.

The same plan drives all three doors, so they cannot differ in what they were told.
"""

import json
from pathlib import Path
from typing import Any

from components.errors import WrongUse
from components.evaluate_candidate.stage import Settings as EvaluateCandidate
from components.gate_promotion.stage import Settings as GatePromotion
from components.ingest_logs.stage import Settings as IngestLogs
from components.materialize_features.history import ELEMENT_FEATURES
from components.materialize_features.stage import Settings as MaterializeFeatures
from components.notify.stage import Settings as Notify
from components.publish_policy.stage import Settings as PublishPolicy
from components.register_version.stage import Settings as RegisterVersion
from components.start import Beginning
from components.train_generator.stage import Settings as TrainGenerator
from components.train_reward.stage import Settings as TrainReward
from components.validate_logs.stage import Settings as ValidateLogs
from pipelines.config import Config
from pipelines.environment import code_identity
from validation.gate.limits import Limits


def identity_of(config: Config) -> dict[str, Any]:
    """What, beside the data, makes a version what it is."""
    code = code_identity()
    return {
        "commit": code.commit,
        "clean": code.clean,
        "digest": code.digest,
        "image": code.image,
        "config": config.digest(),
        "seed": config.seed,
    }


def plan_of(config: Config, work: str, tracking_uri: str, author: str) -> dict[str, Any]:
    """Stage name -> its settings; JSON all the way down."""
    identity = identity_of(config)
    bag = {"slots": config.slots, "context": config.context}
    training = {**bag, "feature_names": list(ELEMENT_FEATURES), "seed": config.seed}
    registry = {"name": config.name, "tracking_uri": tracking_uri}
    judged = config.digest()
    settings = {
        "ingest_logs": IngestLogs(
            logs=config.logs,
            catalog=config.catalog,
            endpoint=config.endpoint_url,
            **bag,
            window_days=config.window_days,
            click_hours=config.attribution.click_hours,
            conversion_days=config.attribution.conversion_days,
            late_days=config.attribution.late_days,
            user_limit=config.quality.displays_a_user,
            rules=config.quality.rules,
            test_traffic=config.quality.test_traffic,
            memory=config.ingest.memory,
            engine=config.ingest.engine,
            threads=config.ingest.threads,
            identity=identity,
            start=Beginning(**registry) if config.train_reward.start == "champion" else None,
        ),
        "validate_logs": ValidateLogs(
            quarantined_share=config.quality.quarantined_share,
            user_limit=config.quality.displays_a_user,
            config_digest=judged,
            rules=config.quality.rules,
            unusual=config.quality.unusual,
            click_hours=config.attribution.click_hours,
            conversion_days=config.attribution.conversion_days,
            memory=config.ingest.memory,
        ),
        "materialize_features": features_settings(config),
        "train_reward": TrainReward(
            **training,
            target=config.reward.target,
            by_product=config.holdout.share is not None,
            device=config.train_reward.device,
            options=config.train_reward.options,
            processes=config.train_reward.processes,
            checkpoints=config.train_reward.checkpoints,
        ),
        "train_generator": TrainGenerator(
            **training,
            name=config.name,
            optional_slots=config.optional_slots,
            target=config.reward.target,
            explore=config.publish.explore,
            uniform=config.publish.uniform,
            sampled=config.publish.sampled,
            deviation=config.publish.deviation,
            temperature=config.publish.temperature,
            candidates=config.publish.candidates,
            device=config.train_generator.device,
            options=config.train_generator.options,
            processes=config.train_generator.processes,
            checkpoints=config.train_generator.checkpoints,
        ),
        "evaluate_candidate": EvaluateCandidate(
            **training,
            **registry,
            target=config.reward.target,
            by_product=config.holdout.share is not None,
            draws=config.gate.draws,
            level=judged_level(config),
            identity=identity,
            author=author,
        ),
        "register_version": RegisterVersion(**registry, identity=identity, config_digest=judged),
        "gate_promotion": GatePromotion(
            **registry,
            trusted_keys=trusted_keys(config),
            limits=config.gate.limits,
            author=author,
            identity=identity,
        ),
        "publish_policy": PublishPolicy(
            **registry,
            cells=published_cells(config),
            top=config.publish.top,
            registry=config.features.registry,
            redis=config.features.redis,
        ),
        "notify": notify_settings(config),
    }
    plan = {stage: chosen.model_dump(mode="json") for stage, chosen in settings.items()}
    place = {"store": config.store, "endpoint": config.endpoint_url, "work": work}
    return {"place": place, **json.loads(json.dumps(plan))}


def features_settings(config: Config) -> MaterializeFeatures:
    """Which features this model has, and where Feast keeps them."""
    return MaterializeFeatures(
        project=config.name,
        slots=config.slots,
        holdout_days=config.holdout.days,
        holdout_share=config.holdout.share,
        cells=published_cells(config),
        registry=config.features.registry,
        redis=config.features.redis,
        offline=config.features.offline,
        memory=config.ingest.memory,
        text_encoder=config.features.text_encoder,
    )


def notify_settings(config: Config) -> Notify:
    """Where messages about this model go."""
    told = config.notify
    return Notify(name=config.name, webhook_env=told.webhook_env, mail=told.mail, pages=told.pages)


def trusted_keys(config: Config) -> tuple[str, ...]:
    """The configured public keys as text, so that a step elsewhere needs no file."""
    return tuple(
        Path(key).read_text() if len(key) < 4096 and Path(key).is_file() else key
        for key in config.registry.trusted_keys
    )


def judged_level(config: Config) -> float:
    """The level of all looks together, which the gate will ask for."""
    if config.gate.limits is None:
        return Limits().policy_value.level
    try:
        return Limits.from_dict(config.gate.limits).policy_value.level
    except ValueError as error:
        raise WrongUse(f"gate.limits: {error}") from error


def published_cells(config: Config) -> tuple[str, ...]:
    """The context fields of the published table: as configured, else every categorical one."""
    if config.publish.cells is not None:
        return config.publish.cells
    return tuple(name for name, kind in config.context.items() if kind == "categorical")
