"""The contract's document is written from the contract."""

from pathlib import Path

import pytest

from validation.contract import BAG_RULES
from validation.contract_table import replaced, rule_tables

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "contract.md"


def test_the_tables_in_the_document_are_those_of_the_contract() -> None:
    text = DOCUMENT.read_text()
    assert replaced(text) == text, "run python -m validation.contract_table docs/contract.md"


def test_every_rule_of_a_bag_is_in_the_tables() -> None:
    assert all(f"| `{rule.id}` | {rule.says} |" in rule_tables() for rule in BAG_RULES)


def test_a_document_without_marks_is_refused() -> None:
    with pytest.raises(ValueError, match="expected one line"):
        replaced("# nothing")
