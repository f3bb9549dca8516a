"""The model card: what a version is and how it was measured, filled from its evidence."""

from typing import Any

import numpy as np
import pyarrow as pa

from model.bundle import Bundle

PRODUCTS = 5  # whose elements the card lists


def model_card(bundle: Bundle, facts: dict[str, Any], earned: pa.Table) -> str:
    """Markdown; every number stands in evidence.json, config.json or attribution.parquet."""
    config, reward = bundle.config, facts.get("reward_model") or {}
    value = facts.get("policy_value") or {}
    lines = [
        f"# {config['name']}, learned up to {config['ds']}",
        "",
        f"Proposes combinations of {', '.join(bundle.slots)} by a generator and reranks them by a "
        f"multi-instance reward model; what it maximises is the {config['target']}.",
        "",
        f"- candidates: {len(bundle.elements):,} elements of "
        f"{len(set(bundle.elements.product_id.tolist())):,} products",
        f"- context: {', '.join(f'{k} ({v})' for k, v in bundle.context.items()) or 'none'}",
        f"- features: {config['feature_service']['name']} "
        f"{config['feature_service']['fingerprint']}",
        f"- seed {config['seed']}; mixture {config['mixture']}",
        f"- judged on: {value.get('holdout') or 'nothing'}",
        "",
        "## Reward model on the held-out rows",
        "",
        "A calibration slope below 1 means that predicted differences are larger than those that "
        "came true, above 1 that they are smaller; calibration_error is a share of the clicks.",
        "",
        *_table(reward.get("challenger") or {}),
        "",
        "## What elements earn",
        "",
        *_earned(earned),
        "",
        "## Policy against the incumbent, reward per display",
        "",
    ]
    for name, outcome in (value.get("outcomes") or {}).items():
        gaps = {k: v["difference"] for k, v in outcome["estimates"].items()}
        lines += [f"### {name}", "", *_table(gaps), ""]
    lines += [
        "## Limits of use",
        "",
        "Learned from logs of one shop's displays; says nothing of products or slots outside its "
        "catalog. Off-policy values hold only where the logged propensities are true.",
    ]
    return "\n".join(lines) + "\n"


def _earned(earned: pa.Table) -> list[str]:
    """The products whose elements lie furthest apart; the rest stands in attribution.parquet."""
    per = earned["per_1000"].to_numpy()
    names, codes = np.unique(earned["product_id"].to_numpy(), return_inverse=True)
    apart = np.full((2, len(names)), -np.inf)
    for side, values in enumerate((per, -per)):
        np.maximum.at(apart[side], codes, values)
    most = np.argsort(-apart.sum(0), kind="stable")[:PRODUCTS]
    lines = [
        "Clicks of 1,000 displays more than with an average candidate of the slot, 95 % intervals, "
        f"for the {len(most)} of {len(names):,} products whose elements lie furthest apart; all "
        "are in attribution.parquet.",
        "",
        "| product | slot | element | per 1,000 | low | high | log-odds |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in earned.take(np.flatnonzero(np.isin(codes, most))).to_pylist():
        named = " | ".join(_cell(row[n]) for n in ("product_id", "slot", "element_id"))
        numbers = ("per_1000", "per_1000_low", "per_1000_high", "contribution")
        lines.append(f"| {named} | {' | '.join(_say(row[n]) for n in numbers)} |")
    return lines


def _cell(text: str) -> str:
    """As it may stand in a table's cell."""
    return " ".join(text.replace("|", "/").split())


def _table(rows: dict[str, dict[str, float | None]]) -> list[str]:
    head = ["| metric | value | low | high |", "|---|---|---|---|"]
    return head + [
        f"| {name} | {_say(v['value'])} | {_say(v['low'])} | {_say(v['high'])} |"
        for name, v in rows.items()
    ]


def _say(number: float | None) -> str:
    return "not measured" if number is None else f"{number:.5g}"
