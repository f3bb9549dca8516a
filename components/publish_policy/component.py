"""The KFP face of publish_policy."""

from kfp import dsl

from components.image import IMAGE


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def publish_policy(day: str, plan: str, version: int) -> str:
    """Where the day's manifest lies below the store."""
    from components.day import Day
    from components.publish_policy.stage import Settings, run
    from components.step import step

    place = Day.model_validate_json(day)
    return step("publish_policy", place, plan, Settings, run, version).manifest
