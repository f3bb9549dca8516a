"""The model card: what a version is and how it was measured, filled from its evidence."""

from typing import Any

from model.bundle import Bundle


def model_card(bundle: Bundle, facts: dict[str, Any]) -> str:
    """Markdown; every number stands in evidence.json or config.json."""
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
        *_table(reward.get("challenger") or {}),
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


def _table(rows: dict[str, dict[str, float | None]]) -> list[str]:
    head = ["| metric | value | low | high |", "|---|---|---|---|"]
    return head + [
        f"| {name} | {_say(v['value'])} | {_say(v['low'])} | {_say(v['high'])} |"
        for name, v in rows.items()
    ]


def _say(number: float | None) -> str:
    return "not measured" if number is None else f"{number:.5g}"
