"""A sealed bundle, as it lies in the store, against its manifest, signature and our keys."""

from dataclasses import dataclass

from components.adapters.signing import UNKNOWN, WRONG, Trust
from components.adapters.storage import Storage
from components.day import Day
from components.training_set import fetch_folder
from model.bundle import SIGNATURE, BadBundle, verify


@dataclass(frozen=True)
class Sealed:
    """What a stored bundle came to: the fault in one sentence or None, and its signature."""

    fault: str | None
    signature: str
    names: frozenset[str]

    @property
    def is_sound(self) -> bool:
        """Whole, unchanged, and not signed wrongly or by a stranger."""
        return self.fault is None and self.signature not in (WRONG, UNKNOWN)


def check_sealed(day: Day, bundle: str, trust: Trust) -> Sealed:
    """Reads every byte of the bundle at a path below the store; opens none but JSON."""
    storage = day.storage()
    paths = [stored.path for stored in storage.listing(bundle)]
    names = frozenset(path.removeprefix(f"{bundle}/") for path in paths)
    found = signature_of(storage, bundle, names, trust)
    nested = sorted(name for name in names if "/" in name)
    if nested:
        where = storage.locate(f"{bundle}/{nested[0]}")
        return Sealed(f"{where} was added after sealing; remove it", found, names)
    with day.scratch("verify") as scratch:
        try:
            verify(fetch_folder(day, bundle, scratch))
        except BadBundle as error:
            said = str(error).replace(str(scratch), storage.locate(bundle))
            return Sealed(said, found, names)
    return Sealed(None, found, names)


def signature_of(storage: Storage, bundle: str, names: frozenset[str], trust: Trust) -> str:
    """verified, signed by a local key, absent, wrong, or by an unknown key."""
    if "manifest.json" not in names:
        return WRONG if SIGNATURE in names else "absent"
    signature = storage.read(f"{bundle}/{SIGNATURE}") if SIGNATURE in names else None
    return trust.judge(storage.read(f"{bundle}/manifest.json"), signature)
