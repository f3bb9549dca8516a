"""The KFP face of register_version."""

from kfp import dsl

from components.image import IMAGE


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def register_version(day: str, plan: str, evidence: str, card: dsl.Output[dsl.Markdown]) -> int:
    """The version's number in the registry; `card` is its model card."""
    from components.artifacts import show
    from components.day import Day
    from components.register_version.stage import Settings, run
    from components.step import step

    place = Day.model_validate_json(day)
    result = step("register_version", place, plan, Settings, run, evidence)
    show(place, f"{result.bundle}/card.md", card)
    return result.version
