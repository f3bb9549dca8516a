"""The KFP face of ingest_logs."""

from kfp import dsl

from components.image import IMAGE


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def ingest_logs(ds: str, plan: str) -> str:
    """The day's place with its attempt, as JSON; with none where a rule refused the day."""
    from components.ingest_logs.stage import Settings, run
    from components.plan import day_of
    from components.refusals import arrived

    return arrived(day_of(plan, ds), plan, Settings, run).model_dump_json()
