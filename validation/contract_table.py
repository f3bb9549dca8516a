"""The contract's rules as tables of docs/contract.md, between its two marks.

`python -m validation.contract_table docs/contract.md` writes them there.
"""

import sys
from pathlib import Path

from validation.contract import BAG_RULES, LOGS, reading_rules

BEGIN = "<!-- rules: written by python -m validation.contract_table docs/contract.md -->"
END = "<!-- end of rules -->"


def rule_tables() -> str:
    """Markdown of every column, every rule of reading and every rule of a bag."""
    lines = ["| log | column | type | required |", "|---|---|---|---|"]
    lines += [
        f"| {kind} | `{column.name}` | {column.type} | {'yes' if column.required else 'no'} |"
        for kind, columns in LOGS.items()
        for column in columns
    ]
    lines += ["", "| rule of reading and joining | says | severity |", "|---|---|---|"]
    lines += [
        f"| `{rule}` | {says} | {severity} |" for rule, (says, severity) in reading_rules().items()
    ]
    lines += ["", "| rule of a bag | says | severity |", "|---|---|---|"]
    lines += [f"| `{rule.id}` | {rule.says} | {rule.severity} |" for rule in BAG_RULES]
    return "\n".join(lines)


def replaced(document: str) -> str:
    """The document with the tables between its marks; ValueError where it has none."""
    if document.count(BEGIN) != 1 or document.count(END) != 1:
        raise ValueError(f"expected one line {BEGIN!r} and one {END!r} after it")
    before, rest = document.split(BEGIN)
    return f"{before}{BEGIN}\n\n{rule_tables()}\n\n{END}{rest.split(END)[1]}"


if __name__ == "__main__":
    place = Path(sys.argv[1])
    place.write_text(replaced(place.read_text()))
