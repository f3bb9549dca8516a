"""What the doctor concludes from facts: pure, one function a question, a sentence an answer."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from components.adapters.signing import ABSENT, LOCAL
from components.doctor.serving import backwards, expected_aliases

LATE_DAYS = 2  # yesterday's logs are there today, or tomorrow at the latest
Status = Literal["well", "note", "wrong"]


@dataclass(frozen=True)
class Checkup:
    """One question's answer; only "wrong" fails the whole."""

    check: str
    status: Status
    sentence: str


@dataclass(frozen=True)
class Registered:
    """A version as the registry shows it: number, and the ledger entry that it names."""

    number: int
    entry: str | None


def packages(pinned: Mapping[str, str], installed: Mapping[str, str]) -> list[Checkup]:
    """Wrong where an installed version is not the pinned one."""
    other = [
        f"{name} {installed[name]} (pinned {version})"
        for name, version in sorted(pinned.items())
        if name in installed and installed[name] != version
    ]
    if other:
        said = f"installed is {', '.join(other)}; expected constraints.txt: make install"
        return [Checkup("packages", "wrong", said)]
    count = len(set(pinned) & set(installed))
    return [Checkup("packages", "well", f"{count} packages are as constraints.txt pins them")]


def newest(check: str, place: str, ds: str | None, back: int) -> Checkup:
    """The newest day found `back` days ago; a note where that is long ago, or none was found."""
    if ds is None:
        said = (
            f"{place} can be read but has no impressions or aggregates of the last {back} days; "
            "is the location right, has the delivery stopped?"
        )
        return Checkup(check, "note", said)
    said = f"{place} can be read; its newest day is {ds}"
    if back > LATE_DAYS:
        return Checkup(check, "note", f"{said}, {back} days ago: has the delivery stopped?")
    return Checkup(check, "well", said)


def schedules(found: Sequence[tuple[str, str, str]], file: str) -> list[Checkup]:
    """Wrong where a recurring run (doing, name, why) is not as the file declares it."""
    other = [f"{name}: {why}" for doing, name, why in found if doing != "keep"]
    if other:
        said = (
            f"recurring runs are not as {file} declares them: {', '.join(other)}; "
            f"genco schedule apply --file {file}"
        )
        return [Checkup("schedules", "wrong", said)]
    said = f"{len(found)} recurring runs are as {file} declares them"
    return [Checkup("schedules", "well", said)]


def ledger_head(entries: Sequence[dict[str, Any]], lag: int, aged: bool = True) -> list[Checkup]:
    """The chain was read; says what else is odd about it."""
    told = [Checkup("ledger", "well", f"{len(entries)} ledger entries, chain and head whole")]
    if lag:
        said = (
            f"the ledger's head lags {lag} entries behind, as after a writer that died; the next "
            "entry brings it forward"
        )
        told.append(Checkup("ledger head", "note", said))
    if aged and (numbers := backwards(entries)):
        said = (
            f"the clock went backwards before ledger entries {', '.join(map(str, numbers))}; "
            "order is by number: check the clock of the machine that wrote them"
        )
        told.append(Checkup("clock", "note", said))
    return told


def aliases(
    found: Mapping[str, int], entries: Sequence[dict[str, Any]], name: str
) -> list[Checkup]:
    """Wrong where champion or previous is not what promotions and rollbacks made of it."""
    told = expected_aliases(entries)
    faults = []
    for alias, expected in (("champion", told.champion), ("previous", told.previous)):
        if found.get(alias) != expected:
            faults.append(Checkup(alias, "wrong", _moved(alias, found, expected, told.entry, name)))
    if faults:
        return faults
    said = "champion and previous are what the ledger says"
    return [Checkup("aliases", "well", said)]


def _moved(
    alias: str, found: Mapping[str, int], expected: int | None, entry: int | None, name: str
) -> str:
    now = f"version {found[alias]}" if alias in found else "no version"
    then = "no version" if expected is None else f"version {expected} (entry {entry})"
    if expected is None:
        remedy = f"remove the alias {alias} of {name} in MLflow, then promote through approval"
    else:
        remedy = (
            f"genco rollback --to {entry and expected} --config FILE --reason ... puts the "
            "ledger's version back"
            if alias == "champion"
            else f"set the alias {alias} of {name} to version {expected} in MLflow"
        )
    return (
        f"alias {alias} names {now}, the ledger says {then}: it was moved without the ledger, or "
        f"a promotion was interrupted; {remedy}"
    )


def registered(versions: Sequence[Registered], entries: Sequence[dict[str, Any]]) -> list[Checkup]:
    """Wrong where a version names an entry that the ledger does not hold for it."""
    by_number = {entry["number"]: entry for entry in entries}
    faults = []
    for version in versions:
        if version.entry is None:
            said = (
                f"version {version.number} names no ledger entry: it was registered by hand, or "
                "its run was interrupted; run its day again"
            )
            faults.append(Checkup("versions", "wrong", said))
            continue
        known = by_number.get(int(version.entry)) if version.entry.isdigit() else None
        if known is None or known.get("version") != version.number:
            said = (
                f"version {version.number} rests on ledger entry {version.entry}, which the "
                f"ledger ({len(entries)} entries) does not hold for it: the ledger was cut or "
                "replaced; restore ledger/ and heads/ from the bucket's versions"
            )
            faults.append(Checkup("versions", "wrong", said))
    fine = Checkup("versions", "well", f"each of {len(versions)} rests on its ledger entry")
    return faults or [fine]


def bundle(
    version: int, fault: str | None, signature: str, is_sound: bool, sealed_as_recorded: bool
) -> list[Checkup]:
    """The champion's bundle: whole, signed by a key we know, and the one that was registered."""
    name = f"bundle of version {version}"
    if fault is not None:
        return [Checkup(name, "wrong", fault)]
    if not is_sound:
        said = (
            f"the signature of the {name} is {signature}; restore the bundle, or add the key to "
            "registry.trusted_keys if it is ours (docs/keys.md)"
        )
        return [Checkup(name, "wrong", said)]
    if not sealed_as_recorded:
        said = (
            f"the manifest of the {name} is not the one that the ledger recorded when it was "
            "registered; restore the bundle from the bucket's versions"
        )
        return [Checkup(name, "wrong", said)]
    if signature == ABSENT:
        return [Checkup(name, "wrong", f"the {name} is not signed; run its day again")]
    if signature == LOCAL:
        said = (
            f"the {name} is whole and signed by a local key; before others rely on it set "
            "GENCO_SIGNING_KEY and registry.trusted_keys (docs/keys.md)"
        )
        return [Checkup(name, "note", said)]
    return [Checkup(name, "well", f"the {name} is whole and its signature verifies")]
