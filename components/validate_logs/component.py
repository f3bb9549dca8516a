"""The KFP face of validate_logs."""

from kfp import dsl

from components.image import IMAGE


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def validate_logs(day: str, plan: str) -> bool:
    """Whether the day is fit to learn from."""
    from components.day import Day
    from components.plan import settings_of
    from components.validate_logs.stage import Settings, run

    result = run(Day.model_validate_json(day), settings_of(plan, "validate_logs", Settings))
    return result.fit
