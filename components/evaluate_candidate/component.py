"""The KFP face of evaluate_candidate."""

from kfp import dsl

from components.image import IMAGE


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def evaluate_candidate(day: str, plan: str) -> str:
    """Where the evidence lies below the store."""
    from components.day import Day
    from components.evaluate_candidate.stage import Settings, run
    from components.plan import settings_of

    result = run(Day.model_validate_json(day), settings_of(plan, "evaluate_candidate", Settings))
    return result.evidence
