"""The KFP face of evaluate_candidate."""

from kfp import dsl

from components.image import IMAGE


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def evaluate_candidate(
    day: str,
    plan: str,
    numbers: dsl.Output[dsl.Metrics],
    curve: dsl.Output[dsl.ClassificationMetrics],
) -> str:
    """Where the evidence lies below the store; its numbers and the reward model's curve."""
    from components.artifacts import show_evidence
    from components.day import Day
    from components.evaluate_candidate.stage import Settings, run
    from components.step import step

    place = Day.model_validate_json(day)
    result = step("evaluate_candidate", place, plan, Settings, run)
    show_evidence(place, result, numbers, curve)
    return result.evidence
