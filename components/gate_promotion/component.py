"""The KFP face of gate_promotion."""

from kfp import dsl

from components.image import IMAGE


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def gate_promotion(day: str, plan: str, evidence: str, version: int) -> str:
    """The verdict: PROMOTE, HOLD or REJECT."""
    from components.day import Day
    from components.gate_promotion.stage import Settings, run
    from components.plan import settings_of

    settings = settings_of(plan, "gate_promotion", Settings)
    return run(Day.model_validate_json(day), settings, evidence, version).verdict
