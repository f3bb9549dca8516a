"""The KFP face of register_version."""

from kfp import dsl

from components.image import IMAGE


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def register_version(day: str, plan: str, evidence: str) -> int:
    """The version's number in the registry."""
    from components.day import Day
    from components.plan import settings_of
    from components.register_version.stage import Settings, run

    settings = settings_of(plan, "register_version", Settings)
    return run(Day.model_validate_json(day), settings, evidence).version
