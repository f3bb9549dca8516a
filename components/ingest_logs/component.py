"""The KFP face of ingest_logs."""

from kfp import dsl

from components.image import IMAGE


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def ingest_logs(ds: str, plan: str) -> str:
    """The day's place with its attempt, as JSON."""
    from components.ingest_logs.stage import Settings, run
    from components.plan import day_of, settings_of

    result = run(day_of(plan, ds), settings_of(plan, "ingest_logs", Settings))
    return result.day.model_dump_json()
