"""Gate: has a person looked? It does not decide the verdict; promoting asks for the approval."""

from validation.gate.decision import Decision, Finding
from validation.gate.evidence import Evidence
from validation.gate.limits import PersonLimits

NAME = "person"


def decide(evidence: Evidence, limits: PersonLimits) -> Decision:
    """Awaits an approval that is bound to the digest of exactly this evidence."""
    sentence = (
        f"awaiting a person's approval of evidence {evidence.digest()[:12]}; "
        f"it holds for {limits.expires_hours:g} hours"
    )
    finding = Finding("approval", "awaited", "given", None, "insufficient", NAME, sentence)
    return Decision(NAME, "insufficient", (finding,), decides=False)
