"""Raw bags -> fit bags, quarantine, the day's manifest and page: is this day usable?

Every day that ingest made again is judged, and so is one that was judged by other limits; each is
published by one conditional write of its manifest. A day that is not fit never replaces a
published one that is.
"""

import json
from typing import Any

from components.day import Day, Frozen, judged_path, manifest_path, to_json
from components.ingest_logs.inputs import digest
from components.manifests import BLOCKED, FIT, change_manifest, read_judged, read_manifest
from components.validate_logs.judging import Standards, judge_day
from components.window import own_manifest, read_window
from validation.contract import bag_rules
from validation.expectations import BagSuite
from validation.quarantine import Limits
from validation.rulings import Ruling, ruled, shares_of
from validation.sanity.limits import Unusual

NAME = "validate_logs"
_NOT_JUDGED = {"config_digest", "memory"}
VERSION = 2  # raise when a day is judged otherwise: every day is then judged again


class Settings(Frozen):
    """How much of a day may be unfit, how rules are held, and what the manifest records."""

    quarantined_share: float
    user_limit: int
    config_digest: str
    rules: dict[str, Ruling] = {}
    unusual: Unusual = Unusual()
    memory: str = "2GB"
    click_hours: float = 1.0
    conversion_days: float = 7.0


class Result(Frozen):
    """Whether ds is fit, why not, and where its page and manifest lie below the store."""

    fit: bool
    reasons: list[str]
    data_page: str
    manifest: str
    rows: int
    unfit: int


def run(day: Day, settings: Settings) -> Result:
    """Every day of the window is judged and published; the result speaks of ds."""
    window = read_window(day)
    standards = _standards(settings)
    kept = {dt: _judged_before(day, dt, a, standards) for dt, a in window.made.items()}
    _publish_settled(day, {dt: manifest for dt, manifest in kept.items() if manifest})
    waiting = [dt for dt, manifest in kept.items() if manifest is None and dt != day.ds]
    waiting += [day.ds] if kept[day.ds] is None else []
    suite = _suite(standards) if waiting else None
    for dt in waiting:
        assert suite is not None
        manifest = judge_day(day, dt, window, standards, suite)
        _publish(day, dt, manifest)
        day.storage().write(own_manifest(dt, window.made[dt]), to_json(manifest))
    return _result(day, window.made[day.ds])


def _standards(settings: Settings) -> Standards:
    return Standards(
        rules=ruled(bag_rules(settings.user_limit), settings.rules),
        rulings=settings.rules,
        limits=Limits(settings.quarantined_share, shares=shares_of(settings.rules)),
        unusual=settings.unusual,
        windows={"clicks": settings.click_hours, "conversions": 24 * settings.conversion_days},
        config_digest=settings.config_digest,
        held_to=digest([VERSION, settings.model_dump(mode="json", exclude=_NOT_JUDGED)]),
        memory=settings.memory,
    )


def _suite(standards: Standards) -> BagSuite:
    limits = standards.limits
    return BagSuite(standards.rules, {rule.id: limits.share_of(rule) for rule in standards.rules})


def _judged_before(day: Day, dt: str, attempt: str, standards: Standards) -> dict[str, Any] | None:
    """What was judged of the attempt by these very standards, or None."""
    storage, path = day.storage(), own_manifest(dt, attempt)
    found = json.loads(storage.read(path)) if storage.exists(path) else {}
    return found if found.get("held_to") == standards.held_to else None


def _publish_settled(day: Day, settled: dict[str, dict[str, Any]]) -> None:
    """Days judged before are what is published, also where another attempt came in between."""
    for dt, manifest in settled.items():
        judged = read_judged(day.storage(), dt)
        same = ("attempt", "held_to")
        if judged is None or any(judged.get(key) != manifest[key] for key in same):
            _publish(day, dt, manifest)


def _publish(day: Day, dt: str, manifest: dict[str, Any]) -> None:
    """One conditional write; a blocked day leaves a fit one that is published as it is.

    The attempt that was judged last is kept beside it, for whoever asks what was wrong. What the
    day's own run told (its page, its alerts) and decided stays where a later day's run judges it
    again.
    """

    def change(was: dict[str, Any] | None) -> dict[str, Any]:
        if was is None:
            return manifest
        if manifest["verdict"] == BLOCKED and was["verdict"] == FIT:
            return was
        before = {key: was[key] for key in ("run", "policy", "told") if key in was}
        tables = {k: v for k, v in was["tables"].items() if k not in manifest["tables"]}
        return {**before, **manifest, "tables": {**manifest["tables"], **tables}}

    storage = day.storage()
    change_manifest(storage, dt, change)
    was = read_judged(storage, dt) or {}
    told = {"told": was["told"]} if "told" in was else {}
    storage.write(judged_path(dt), to_json({**told, **manifest}))


def _result(day: Day, attempt: str) -> Result:
    place = own_manifest(day.ds, attempt)
    storage = day.storage()
    manifest = json.loads(storage.read(place))
    published = read_manifest(storage, day.ds)
    current = published is not None and published["attempt"] == attempt
    return Result(
        fit=manifest["verdict"] == FIT,
        reasons=manifest["reasons"],
        data_page=manifest["pages"]["data"],
        manifest=manifest_path(day.ds) if current else place,
        rows=sum(entry["rows"] for entry in manifest["tables"]["bags"]),
        unfit=manifest["tables"]["quarantine"][0]["rows"],
    )
