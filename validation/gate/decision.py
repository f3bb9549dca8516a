"""What a gate says: a decision, and the findings it rests on."""

from dataclasses import dataclass, replace
from typing import Any, Literal

from validation.gate.trees import to_tree

Status = Literal["pass", "fail", "insufficient"]


@dataclass(frozen=True)
class Finding:
    """One number against its threshold.

    distance: how far on the right side of the threshold the deciding number is, negative on the
    wrong one, None where there is nothing to measure. source: where in the evidence it stands.
    side: of the threshold that a whole interval must lie on; None where no interval decides.
    """

    metric: str
    value: float | str | None
    threshold: float | str | None
    distance: float | None
    status: Status
    source: str
    sentence: str
    side: Literal["above", "below"] | None = None

    def softened(self, because: str) -> "Finding":
        """The same, holding instead of rejecting."""
        return replace(self, status="insufficient", sentence=f"{self.sentence}; {because}")


@dataclass(frozen=True)
class Decision:
    """A gate's word. Where it does not decide, the verdict passes over it."""

    name: str
    status: Status
    findings: tuple[Finding, ...]
    decides: bool = True

    def to_dict(self) -> dict[str, Any]:
        return to_tree(self)


def decided(name: str, findings: list[Finding]) -> Decision:
    """The worst finding decides; a gate without findings can't be."""
    statuses = {finding.status for finding in findings}
    assert findings, f"gate {name} found nothing"
    if "fail" in statuses:
        return Decision(name, "fail", tuple(findings))
    return Decision(name, "insufficient" if "insufficient" in statuses else "pass", tuple(findings))


def unmeasured(name: str, part: str) -> Decision:
    """A gate whose part of the evidence is missing fails."""
    sentence = f"nothing was measured for {name}: evidence.{part} is missing; evaluate again"
    return decided(name, [Finding(part, None, None, None, "fail", f"evidence.{part}", sentence)])
