"""Gate: is it known from what the version was made?"""

from validation.gate.decision import Decision, Finding, decided, unmeasured
from validation.gate.evidence import Evidence, Provenance
from validation.gate.limits import ProvenanceLimits
from validation.gate.rules import missing, note

NAME = "provenance"
SOURCE = "evidence.provenance"


def decide(evidence: Evidence, limits: ProvenanceLimits) -> Decision:
    """Passes with a clean commit, image, digests, seed and a single day; an unclean one holds."""
    origin = evidence.provenance
    if origin is None:
        return unmeasured(NAME, NAME)
    named = [
        _named("image", origin.image),
        _named("inputs", origin.inputs),
        _named("features", origin.features),
        _named("seed", None if origin.seed is None else str(origin.seed)),
    ]
    return decided(NAME, [_commit(origin, limits), *named, _day(origin, evidence.ds)])


def _commit(origin: Provenance, limits: ProvenanceLimits) -> Finding:
    source = f"{SOURCE}.commit"
    if not origin.commit or origin.dirty is None:
        sentence = "the commit is unknown, so the version can't be made again; run inside git"
        return Finding("commit", None, "a clean commit", None, "insufficient", source, sentence)
    short = origin.commit[:12]
    if not origin.dirty:
        return note("commit", short, source, f"made from commit {short}, clean")
    if limits.allow_dirty:
        return note("commit", short, source, f"commit {short} had changes; the limits allow it")
    sentence = f"commit {short} had uncommitted changes; commit them and run again"
    return Finding("commit", short, "a clean commit", None, "insufficient", source, sentence)


def _named(metric: str, value: str | None) -> Finding:
    source = f"{SOURCE}.{metric}"
    if not value:
        return missing(metric, "known", source)
    return note(metric, value, source, f"{metric}: {value}")


def _day(origin: Provenance, ds: str) -> Finding:
    source, days = f"{SOURCE}.ds", sorted(set(origin.ds))
    if not days:
        return missing("ds", ds, source)
    if days == [ds]:
        return note("ds", ds, source, f"every input is of {ds}")
    sentence = f"inputs are of {', '.join(days)}, expected {ds} alone; run that day again"
    return Finding("ds", ", ".join(days), ds, None, "fail", source, sentence)
