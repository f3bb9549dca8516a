"""The KFP face of materialize_features."""

from kfp import dsl

from components.image import IMAGE


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def materialize_features(day: str, plan: str, numbers: dsl.Output[dsl.Metrics]) -> str:
    """What the stage found, as JSON; `numbers` holds its numbers."""
    from components.artifacts import show_numbers
    from components.day import Day
    from components.materialize_features.stage import Settings, run
    from components.step import step
    from components.watching import numbers_of

    result = step("materialize_features", Day.model_validate_json(day), plan, Settings, run)
    show_numbers(numbers, numbers_of(result))
    return result.model_dump_json()
