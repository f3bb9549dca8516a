"""Gate: is the bundle data only, and whole?"""

from validation.gate.decision import Decision, Finding, decided, unmeasured
from validation.gate.evidence import Evidence, Integrity
from validation.gate.limits import IntegrityLimits
from validation.gate.rules import missing, note

NAME = "integrity"
SOURCE = "evidence.integrity"
_RIGHT = {
    "verified": "the signature verifies",
    "signed by a local key": "signed by a local key, which only this store speaks for",
}
_SIGN = "sign the bundle where it was made"
_NEXT = {
    "wrong": "the manifest was changed after it was signed: take the bundle from a backup",
    "by an unknown key": "add its public key to registry.trusted_keys, or find out who signed",
}


def decide(evidence: Evidence, limits: IntegrityLimits) -> Decision:
    """Fails on a file that could carry code, a wrong digest or signature, or what is required."""
    bundle = evidence.integrity
    if bundle is None:
        return unmeasured(NAME, NAME)
    sbom = _flag("bill of materials", bundle.sbom, limits.sbom, f"{SOURCE}.sbom")
    digests = _flag("digests", bundle.digests_match, True, f"{SOURCE}.digests_match")
    return decided(NAME, [_files(bundle), digests, _signature(bundle, limits), sbom])


def _files(bundle: Integrity) -> Finding:
    source = f"{SOURCE}.unsafe_files"
    if bundle.unsafe_files is None:
        return missing("files", "data only", source)
    if not bundle.unsafe_files:
        return note("files", "data only", source, "the bundle holds weights, JSON and text alone")
    listed = ", ".join(bundle.unsafe_files)
    sentence = f"the bundle holds what could carry code: {listed}; save it again"
    return Finding("files", listed, "data only", None, "fail", source, sentence)


def _flag(metric: str, holds: bool | None, required: bool, source: str) -> Finding:
    if holds:
        return note(metric, "present", source, f"{metric}: as they should be")
    if not required:
        return note(metric, "absent", source, f"{metric}: not asked for")
    if holds is None:
        return missing(metric, "present", source)
    return Finding(metric, "wrong", "present", None, "fail", source, f"{metric}: not as recorded")


def _signature(bundle: Integrity, limits: IntegrityLimits) -> Finding:
    source, found = f"{SOURCE}.signature", bundle.signature
    if found in _RIGHT:
        return note("signature", found, source, _RIGHT[found])
    if found in (None, "absent") and not limits.signature:
        return note("signature", "absent", source, "not signed; the limits do not ask for it")
    sentence = f"the signature is {found or 'missing'}; {_NEXT.get(found or 'absent', _SIGN)}"
    return Finding("signature", found, "verified", None, "fail", source, sentence)
