"""The KFP face of notify."""

from kfp import dsl

from components.image import IMAGE


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def notify(
    status: dsl.PipelineTaskFinalStatus, ds: str, plan: str, message: dsl.Output[dsl.Markdown]
):
    """One message, whatever happened."""
    from components.artifacts import show_text
    from components.notify.stage import Settings, outcome, run
    from components.plan import day_of
    from components.step import step

    day = day_of(plan, ds)
    told = outcome(day, status.state, status.error_message)
    result = step("notify", day, plan, Settings, run, *told)
    show_text(message, result.message)
