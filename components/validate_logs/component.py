"""The KFP face of validate_logs."""

from kfp import dsl

from components.image import IMAGE


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def validate_logs(day: str, plan: str, page: dsl.Output[dsl.HTML]) -> bool:
    """Whether the day is fit to learn from; `page` is the data page."""
    from components.artifacts import show
    from components.day import Day
    from components.step import step
    from components.validate_logs.stage import Settings, run

    place = Day.model_validate_json(day)
    result = step("validate_logs", place, plan, Settings, run)
    show(place, result.data_page, page)
    return result.fit
