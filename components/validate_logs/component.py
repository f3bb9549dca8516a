"""The KFP face of validate_logs."""

from kfp import dsl

from components.image import IMAGE


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def validate_logs(day: str, plan: str, page: dsl.Output[dsl.HTML]) -> bool:
    """Whether the day is fit to learn from; `page` is the data page."""
    from components.day import Day
    from components.refusals import fit
    from components.validate_logs.stage import Settings, run

    return fit("validate_logs", Day.model_validate_json(day), plan, Settings, run, page)
