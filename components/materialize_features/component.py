"""The KFP face of materialize_features."""

from kfp import dsl

from components.image import IMAGE


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def materialize_features(day: str, plan: str) -> str:
    """What the stage found, as JSON."""
    from components.day import Day
    from components.materialize_features.stage import Settings, run
    from components.plan import settings_of

    result = run(Day.model_validate_json(day), settings_of(plan, "materialize_features", Settings))
    return result.model_dump_json()
