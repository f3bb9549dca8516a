"""The KFP face of gate_promotion."""

from kfp import dsl

from components.image import IMAGE


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def gate_promotion(
    day: str, plan: str, evidence: str, version: int, page: dsl.Output[dsl.HTML]
) -> str:
    """The verdict: PROMOTE, HOLD or REJECT; `page` is the promotion page."""
    from components.artifacts import show
    from components.day import Day
    from components.gate_promotion.stage import Settings, run
    from components.step import step

    place = Day.model_validate_json(day)
    result = step("gate_promotion", place, plan, Settings, run, evidence, version)
    show(place, result.page, page)
    return result.verdict
