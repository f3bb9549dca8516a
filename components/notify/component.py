"""The KFP face of notify."""

from kfp import dsl

from components.image import IMAGE


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def notify(status: dsl.PipelineTaskFinalStatus, ds: str, plan: str):
    """One message, whatever happened."""
    from components.notify.stage import Settings, outcome, run
    from components.plan import day_of, settings_of

    day = day_of(plan, ds)
    told = outcome(day, failed=status.state == "FAILED")
    print(run(day, settings_of(plan, "notify", Settings), *told).message)
