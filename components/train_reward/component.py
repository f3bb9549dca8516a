"""The KFP face of train_reward."""

from kfp import dsl

from components.image import IMAGE


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def train_reward(day: str, plan: str, numbers: dsl.Output[dsl.Metrics]) -> str:
    """What the stage found, as JSON; `numbers` holds its numbers."""
    from components.artifacts import show_numbers
    from components.day import Day
    from components.step import step
    from components.train_reward.stage import Settings, run
    from components.watching import numbers_of

    result = step("train_reward", Day.model_validate_json(day), plan, Settings, run)
    show_numbers(numbers, numbers_of(result))
    return result.model_dump_json()
