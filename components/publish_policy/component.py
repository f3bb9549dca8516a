"""The KFP face of publish_policy."""

from kfp import dsl

from components.image import IMAGE


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def publish_policy(day: str, plan: str, version: int) -> str:
    """Where the day's manifest lies below the store."""
    from components.day import Day
    from components.plan import settings_of
    from components.publish_policy.stage import Settings, run

    settings = settings_of(plan, "publish_policy", Settings)
    return run(Day.model_validate_json(day), settings, version).manifest
