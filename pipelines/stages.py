"""The stages in their order, with what each reads, writes and promises (ARCHITECTURE.md)."""

STAGES = (
    "ingest_logs",
    "validate_logs",
    "materialize_features",
    "train_reward",
    "train_generator",
    "evaluate_candidate",
    "register_version",
    "gate_promotion",
    "publish_policy",
    "notify",
)
IO_STAGES = frozenset(STAGES) - {"train_reward", "train_generator", "evaluate_candidate"}
