"""What a step shows in Kubeflow's UI: pages, numbers and a curve, copied from what it left."""

import json
from pathlib import Path
from typing import Any

from components.day import Day

CURVE = ("false_positive_rate", "true_positive_rate", "threshold")


def show(day: Day, path: str, artifact: Any) -> None:
    """The artifact (HTML or Markdown) is the file that lies at `path` below the store."""
    Path(artifact.path).write_bytes(day.storage().read(path))


def show_text(artifact: Any, text: str) -> None:
    """The Markdown artifact holds these lines; they are printed too."""
    Path(artifact.path).write_text(text.replace("\n", "\n\n"))
    print(text)


def show_numbers(artifact: Any, numbers: dict[str, float]) -> None:
    """The numbers stand in a Metrics artifact, and as its file, which the local cache looks for."""
    for name, value in sorted(numbers.items()):
        artifact.log_metric(name, value)
    Path(artifact.path).write_text(json.dumps(numbers, sort_keys=True))


def show_evidence(day: Day, result: Any, numbers: Any, curve: Any) -> None:
    """The candidate's reward model on the judged rows: its metrics, and its ROC."""
    evidence = json.loads(day.storage().read(result.evidence))
    show_numbers(numbers, metrics_of(evidence))
    points = json.loads(day.storage().read(result.curve))
    curve.log_roc_curve(*(points[name] for name in CURVE))
    Path(curve.path).write_text(json.dumps(points))


def metrics_of(evidence: dict[str, Any]) -> dict[str, float]:
    """The reward model's metrics and, of each outcome, every estimate of the difference."""
    measured = (evidence["reward_model"] or {}).get("challenger", {})
    found = {f"reward_model.{name}": one["value"] for name, one in measured.items()}
    for outcome, judged in (evidence["policy_value"] or {}).get("outcomes", {}).items():
        for name, estimate in judged["estimates"].items():
            found[f"{outcome}.{name}"] = estimate["difference"]["value"]
    return {name: value for name, value in found.items() if value is not None}
