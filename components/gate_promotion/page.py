"""What the promotion page shows, gathered from the evidence, the bundles and the ledger."""

import json
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from components.adapters.registry import Version
from components.day import Day
from components.evaluate_candidate.incumbent import Champion
from components.gate_promotion.past import told
from components.manifests import read_manifest
from components.training_set import TrainingSet, fetch_folder, read_training_set
from components.window import read_window
from model.bags import Bags, read_bags
from model.bundle import Bundle, load_bundle
from validation.gate.evidence import Evidence
from validation.gate.limits import Limits
from validation.gate.verdict import Judgement

CARDS = 6
LOOKED_AT = 40  # most shown products that cards are chosen from
DECISIONS = ("approved", "rejected", "promoted", "rolled back", "refused")


def promotion_view(
    day: Day,
    name: str,
    facts: Evidence,
    limits: Limits,
    judgement: Judgement,
    version: Version,
    champion: Champion | None,
    entries: list[dict[str, Any]],
    scratch: Path,
) -> dict[str, Any]:
    """The fields of validation/pages/promotion.py."""
    judged = [e for e in entries if e["kind"] == "judged" and e["version"] == version.number]
    made = judged[-1]["at"]
    until = datetime.fromisoformat(made) + timedelta(hours=limits.person.expires_hours)
    bundle = load_bundle(fetch_folder(day, version.bundle, scratch / "challenger"))
    names = bundle.config["feature_service"]["names"]
    rows = read_training_set(day, bundle.slots, bundle.context, names)
    target = bundle.config["target"]
    return {
        "name": name,
        "version": str(version.number),
        "ds": day.ds,
        "made_at": made,
        "expires_at": until.isoformat(),
        "judgement": judgement.to_dict(),
        "evidence": facts.to_dict(),
        "limits": limits.to_dict(),
        "cards": _cards(bundle, rows, champion),
        "changes": _changes(day, version, champion, scratch),
        "days": _days(day),
        "rollback": _rollback(champion, entries),
        "history": [
            told(entry, entries, rows, name, target)
            for entry in entries
            if entry["kind"] in DECISIONS
        ],
        "looks": facts.policy_value.looks if facts.policy_value else None,
    }


def _cards(bundle: Bundle, rows: TrainingSet, champion: Champion | None) -> list[dict[str, Any]]:
    """Of the most shown products those that the two sides disagree on most, in usual context."""
    held = rows.holdout
    products, codes = np.unique(held.product_id.astype(str), return_inverse=True)
    shown = np.bincount(codes, held.impressions)
    chosen = np.argsort(-shown, kind="stable")[:LOOKED_AT]
    other = champion.bundle if champion is not None else None
    cards = [
        _card_pair(str(products[c]), held.take(np.flatnonzero(codes == c)), bundle, other, rows)
        for c in chosen
    ]
    return sorted(cards, key=lambda card: -card["disagreement"])[:CARDS]


def _card_pair(
    product: str, mine: Bags, challenger: Bundle, champion: Bundle | None, rows: TrainingSet
) -> dict[str, Any]:
    context = {n: _usual(v, challenger.context[n]) for n, v in mine.context.items()}
    asked = {n: np.array([v], object if isinstance(v, str) else float) for n, v in context.items()}
    new = _top(challenger, product, asked, rows)
    old = _top(champion, product, asked, rows) if champion else _most_shown(challenger, mine, rows)
    return {
        "product_id": product,
        "context": context,
        "disagreement": abs((new["predicted"] or 0) - (old["predicted"] or 0)),
        "challenger": new,
        "incumbent": old,
    }


def _usual(values: np.ndarray, kind: str) -> Any:
    if kind == "number":
        known = values[np.isfinite(values)]
        return float(np.median(known)) if len(known) else float("nan")
    names, counts = np.unique(values.astype(str), return_counts=True)
    return str(names[counts.argmax()])


def _top(
    bundle: Bundle, product: str, context: dict[str, np.ndarray], rows: TrainingSet
) -> dict[str, Any]:
    best = bundle.policy(rows.elements).top([product], context, 1)[0]
    creative = best.combinations[0]
    return _card(bundle, product, context, creative, float(best.probability[0]), rows)


def _most_shown(bundle: Bundle, mine: Bags, rows: TrainingSet) -> dict[str, Any]:
    """What the logging policy showed most often, seen by the challenger's reward model."""
    combinations, codes = np.unique(mine.element, axis=0, return_inverse=True)
    counts = np.bincount(codes.reshape(-1), mine.impressions)
    first = combinations[counts.argmax()]
    creative = {
        slot: str(rows.elements.element_id[row])
        for slot, row in zip(bundle.slots, first, strict=True)
        if row >= 0
    }
    context = {n: np.array([_usual(v, bundle.context[n])]) for n, v in mine.context.items()}
    share = float(counts.max() / counts.sum())
    return _card(bundle, str(mine.product_id[0]), context, creative, share, rows)


def _card(
    bundle: Bundle,
    product: str,
    context: dict[str, np.ndarray],
    creative: dict[str, str],
    probability: float,
    rows: TrainingSet,
) -> dict[str, Any]:
    named = {n: v[0].item() if hasattr(v[0], "item") else v[0] for n, v in context.items()}
    shown = [{"slot": s, "element": e} for s, e in creative.items()]
    table = pa.table(
        {
            "product_id": [product],
            "context": pa.array([json.dumps(named)]),
            "creative": pa.array([shown]),
        }
    )
    bag = read_bags(table, rows.elements, bundle.context)
    terms = bundle.reward.attribution(bag, rows.elements)
    predicted = bundle.reward.predict(bag, rows.elements).reward
    elements = [
        {
            "slot": slot,
            "element_id": creative[slot],
            "text": str(rows.elements.text[bag.element[0, place]]),
            "contribution": float(terms.element[0, place]),
        }
        for place, slot in enumerate(bundle.slots)
        if slot in creative
    ]
    return {"elements": elements, "probability": probability, "predicted": float(predicted[0])}


def _changes(
    day: Day, version: Version, champion: Champion | None, scratch: Path
) -> list[dict[str, Any]]:
    now = json.loads((scratch / "challenger" / "manifest.json").read_text())
    was: dict[str, Any] = {}
    if champion is not None:
        was = json.loads(day.storage().read(f"{champion.version.bundle}/manifest.json"))
    shown = {
        "code": "git_commit",
        "sources": "code_digest",
        "config": "config_digest",
        "features": "feature_service",
        "image": "image_digest",
        "seed": "seed",
    }
    rows = [
        {"what": what, "before": _text(was.get(key)), "after": _text(now.get(key))}
        for what, key in shown.items()
    ]
    return [*rows, {"what": "data window", "before": _span(was), "after": _span(now)}]


def _text(value: Any) -> str | None:
    return None if value is None else str(value)


def _span(manifest: dict[str, Any]) -> str | None:
    days = sorted(manifest.get("inputs", {}))
    return f"{days[0]} to {days[-1]}, {len(days)} days" if days else None


def _days(day: Day) -> list[dict[str, Any]]:
    storage = day.storage()
    rows = []
    for ds in sorted(read_window(day).made):
        manifest = read_manifest(storage, ds)
        if manifest is None:
            continue
        read = sum(row["read"] for row in manifest["accounting"])
        unfit = sum(row["quarantined"] for row in manifest["accounting"])
        rows.append(
            {
                "ds": ds,
                "verdict": manifest["verdict"],
                "displays": float(sum(e["rows"] for e in manifest["tables"]["bags"])),
                "quarantined_share": unfit / read if read else 0.0,
                "note": " ".join(manifest["reasons"]),
            }
        )
    return rows


def _rollback(champion: Champion | None, entries: list[dict[str, Any]]) -> dict[str, Any] | None:
    if champion is None:
        return None
    tested = [entry["at"] for entry in entries if entry["kind"] == "rolled back"]
    return {
        "target": str(champion.version.number),
        "command": 'genco rollback --config FILE --to previous --reason "..."',
        "tested_at": tested[-1] if tested else None,
    }
