"""Each stage's README names what it reads and writes, and what its step takes and gives."""

import re
from importlib import import_module
from pathlib import Path

import pytest

from components.watching import READS_WRITES
from pipelines.stages import STAGES

COMPONENTS = Path(__file__).resolve().parents[2] / "components"


@pytest.mark.parametrize("stage", STAGES)
def test_a_stages_readme_names_what_goes_in_and_out(stage: str) -> None:
    text = (COMPONENTS / stage / "README.md").read_text()
    told = dict(re.findall(r"^- ([a-z ]+): (.+)$", text, re.MULTILINE))
    spec = getattr(import_module(f"components.{stage}.component"), stage).component_spec
    reads, writes = READS_WRITES[stage]
    assert {what: re.findall("`(.+?)`", names) for what, names in told.items()} == {
        "reads": list(reads),
        "writes": list(writes),
        "the step takes": list(spec.inputs or {}),
        "the step gives": list(spec.outputs or {}),
    }
