"""What `apply` would change in Feast's registry: the declarations beside what is registered."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Change:
    """An object that is not as declared: added, removed or changed, and how, a line a property."""

    kind: str
    name: str
    change: str
    details: tuple[str, ...] = ()


def differences(registered: Iterable[Any], declared: Iterable[Any]) -> list[Change]:
    """Every difference, by kind and name; sources are left out, since they say only where."""
    before, after = described(registered), described(declared)
    changes = []
    for kind, name in sorted({*before, *after}):
        was, now = before.get((kind, name)), after.get((kind, name))
        if was is None or now is None:
            changes.append(Change(kind, name, "added" if was is None else "removed"))
        elif was != now:
            changes.append(Change(kind, name, "changed", tuple(_details(was, now))))
    return changes


def described(objects: Iterable[Any]) -> dict[tuple[str, str], dict[str, str]]:
    """(kind, name) -> property -> value, of entities, views and services."""
    describe = {"Entity": _entity, "FeatureView": _view, "FeatureService": _service}
    return {
        (type(one).__name__, one.name): describe[type(one).__name__](one)
        for one in objects
        if type(one).__name__ in describe
    }


def _entity(entity: Any) -> dict[str, str]:
    return {"join key": entity.join_key, "type": entity.value_type.name}


def _view(view: Any) -> dict[str, str]:
    told = {"ttl": str(view.ttl), "entities": ", ".join(view.entities), "online": str(view.online)}
    return told | {f"field {field.name}": str(field.dtype) for field in view.features}


def _service(service: Any) -> dict[str, str]:
    return {
        f"view {projection.name}": ", ".join(sorted(field.name for field in projection.features))
        for projection in service.feature_view_projections
    }


def _details(was: dict[str, str], now: dict[str, str]) -> Iterable[str]:
    for key in sorted({*was, *now}):
        if key not in was:
            yield f"{key} added ({now[key]})"
        elif key not in now:
            yield f"{key} removed (was {was[key]})"
        elif was[key] != now[key]:
            yield f"{key}: {was[key]} -> {now[key]}"
