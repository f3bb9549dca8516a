"""`genco evaluate`: a version on the held-out bags of a day, against whom one likes.

What `genco run` does in evaluate_candidate and gate_promotion, without leaving a trace: no look at
the champion is taken, nothing is registered, and the verdict binds nobody. Asking again and again
is therefore not accounted for; only the day's own run is.
"""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from components.adapters.ledger import Ledger
from components.adapters.registry import CHAMPION, Registry, Version
from components.day import Day
from components.errors import Failed, Refused, WrongUse
from components.evaluate_candidate import stage as evaluating
from components.evaluate_candidate.incumbent import Champion, fitting, read_champion
from components.evaluate_candidate.looks import look_without_taking
from components.gate_promotion import stage as gating
from components.gate_promotion.serving import ask
from components.manifests import read_manifest
from components.plan import check_ds, day_of, settings_of
from components.register_version.stage import open_registry
from pipelines.config import load_config
from pipelines.plan import plan_of
from pipelines.running import absolute, tracking_uri, work_folder
from pipelines.tables import write_json
from validation.gate.evidence import Evidence, Serving
from validation.gate.limits import Limits
from validation.gate.trees import from_tree
from validation.gate.verdict import judge

LOG = "log"
LESS_SAID = ("clip", "mean_weight")  # left to --json and --out


def evaluate(
    file: Path, ds: str, number: int | None, against: str | None, out: Path | None
) -> dict[str, Any]:
    """{ds, version, against, verdict, reasons, level, target, estimates, evidence}.

    number: the version, None for the day's own. against: a version, "log", or None for the champion
    (the log where there is none, or it is the version itself). out: a file for the evidence.
    """
    check_ds(ds)
    config = absolute(load_config(file))
    plan = json.dumps(
        plan_of(config, str(work_folder(config)), tracking_uri(config), "genco evaluate")
    )
    settings = settings_of(plan, evaluating.NAME, evaluating.Settings)
    limits = settings_of(plan, gating.NAME, gating.Settings)
    day, own = _judged_day(day_of(plan, ds))
    registry = open_registry(day, config.name, tracking_uri(config))
    version = _version(registry, own if number is None else number)
    candidate = _readable(day, version, settings)
    incumbent = _incumbent(day, registry, version, against, settings)
    other = None if incumbent is None else incumbent.version.number
    look = look_without_taking(
        Ledger(day.storage(), config.name), day.attempt, other, settings.level
    )
    tree, _ = evaluating.measure(day, settings, incumbent, look, candidate.bundle)
    facts = replace(
        Evidence.from_dict({**tree, "provenance": _provenance(day, version)}),
        challenger=str(version.number),
        integrity=gating.integrity_of(day, version, limits.trusted_keys),
        serving=from_tree(Serving, ask(day, version), "serving"),
    )
    given = Limits() if limits.limits is None else Limits.from_dict(limits.limits)
    judgement = judge(facts, given)
    verdict, reasons = _honest(judgement.verdict, list(judgement.reasons), candidate, tree)
    if out is not None:
        write_json(facts.to_dict(), out)
    value = tree["policy_value"]
    return {
        "ds": ds,
        "version": version.number,
        "against": LOG if other is None else other,
        "verdict": verdict,
        "reasons": reasons,
        "level": value["level"],
        "target": value["target"],
        "estimates": value["outcomes"][value["target"]]["estimates"],
        "evidence": None if out is None else str(out),
    }


def _judged_day(day: Day) -> tuple[Day, int]:
    """(the day at the attempt that was judged, the version that came of it)."""
    run = (read_manifest(day.storage(), day.ds) or {}).get("run")
    if run is None:
        raise WrongUse(
            f"ds={day.ds} was not judged in {day.store}, so it has no held-out bags to evaluate on; "
            f"run `genco run --ds {day.ds} --config FILE` first"
        )
    return day.model_copy(update={"attempt": run["attempt"]}), run["version"]


def _version(registry: Registry, number: int) -> Version:
    found = registry.get(number)
    if found is None:
        raise WrongUse(f"version {number} is not registered; genco audit list names those that are")
    return found


def _readable(day: Day, version: Version, settings: evaluating.Settings) -> Champion:
    found = fitting(read_champion(day, version), settings.slots, settings.context)
    if found.bundle is None:
        raise Refused(f"version {version.number} cannot be evaluated: {found.unreadable}")
    return found


def _incumbent(
    day: Day,
    registry: Registry,
    version: Version,
    against: str | None,
    settings: evaluating.Settings,
) -> Champion | None:
    if against is None:
        champion = registry.alias(CHAMPION)
        same = champion is not None and champion.number == version.number
        return None if champion is None or same else _readable(day, champion, settings)
    if against == LOG:
        return None
    if not against.isdigit():
        raise WrongUse(f"--against is {against!r}; expected a version's number, or {LOG}")
    if int(against) == version.number:
        raise WrongUse(f"version {against} against itself differs by nothing; name another")
    return _readable(day, _version(registry, int(against)), settings)


def _provenance(day: Day, version: Version) -> dict[str, Any]:
    """As the sealed bundle tells it: of the code that made the version, not of this one."""
    path = f"{version.bundle}/evidence.json"
    if not day.storage().exists(path):
        raise Failed(f"{day.storage().locate(path)} is missing; take the bundle from a backup")
    return json.loads(day.storage().read(path))["provenance"]


def _honest(
    verdict: str, reasons: list[str], candidate: Champion, tree: dict[str, Any]
) -> tuple[str, list[str]]:
    """A version that learned from the rows that judge it gets no better than HOLD."""
    known = [ds for ds in tree["policy_value"]["judged_days"] if ds in candidate.learned]
    if not known:
        return verdict, reasons
    said = (
        f"version {candidate.version.number} learned from days that judge here "
        f"({', '.join(known)}), which flatters it; evaluate it on a later day"
    )
    return "HOLD" if verdict == "PROMOTE" else verdict, [said, *reasons]


def words(told: dict[str, Any]) -> str:
    """The same for a terminal."""
    head = f"version {told['version']} against {told['against']}, held-out bags of ds={told['ds']}"
    lines = [f"{head}: {told['verdict']}", *(f"  - {reason}" for reason in told["reasons"])]
    lines += estimate_lines(told["estimates"], told["target"], told["level"])
    if told["evidence"]:
        lines.append(f"evidence  {told['evidence']}")
    return "\n".join([*lines, "nothing was registered and no look was taken"])


def estimate_lines(estimates: dict[str, Any], target: str, level: float) -> list[str]:
    """A line an estimator: both policies' values and their difference, per 1,000 displays."""
    lines = [f"{target} per 1,000 displays, intervals of {100 * level:.2f} %:"]
    for name, one in estimates.items():
        if any(word in name for word in LESS_SAID):
            continue
        mine, theirs, gap = (
            _per_1000(one[key]) for key in ("challenger", "incumbent", "difference")
        )
        lines.append(f"  {name:<12} {mine} beside {theirs}: difference {gap}")
    return lines


def _per_1000(interval: dict[str, float | None]) -> str:
    value, low, high = (interval[key] for key in ("value", "low", "high"))
    if value is None:
        return "unknown"
    bounds = "" if low is None or high is None else f" ({1000 * low:.2f} to {1000 * high:.2f})"
    return f"{1000 * value:.2f}{bounds}"
