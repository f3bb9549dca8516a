"""The KFP face of ingest_logs."""

from kfp import dsl

from components.image import IMAGE


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def ingest_logs(ds: str, plan: str) -> str:
    """The day's place with its attempt, as JSON."""
    from components.ingest_logs.stage import Settings, run
    from components.plan import day_of
    from components.step import step

    result = step("ingest_logs", day_of(plan, ds), plan, Settings, run)
    return result.day.model_dump_json()
