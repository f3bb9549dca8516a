"""The KFP face of train_reward."""

from kfp import dsl

from components.image import IMAGE


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def train_reward(day: str, plan: str) -> str:
    """What the stage found, as JSON."""
    from components.day import Day
    from components.plan import settings_of
    from components.train_reward.stage import Settings, run

    result = run(Day.model_validate_json(day), settings_of(plan, "train_reward", Settings))
    return result.model_dump_json()
