"""Evidence as rows to read: forest plots, estimators side by side, health figures, slices.

Everything here is per 1,000 displays; an Interval of the evidence is per display.
"""

from typing import Any

from validation.gate.basis import deciding
from validation.gate.evidence import Evidence, Interval, Outcome
from validation.gate.limits import Limits
from validation.pages import svg
from validation.pages.rendering import absent, count, number, percent

PER = 1000
ESTIMATORS = {
    "snips": "SNIPS",
    "dr": "doubly robust",
    "ips": "IPS",
    "switch_dr": "switch-DR",
    "dr_os": "doubly robust, shrunk",
    "pi": "pseudo-inverse, by slots",
    "pi_dr": "doubly robust, by slots",
    "independent": "independent slots (shown, never decides)",
    "direct": "direct method (shown, never decides)",
}
CLIPPED = {"snips": "SNIPS", "pi_dr": "doubly robust by slots"}


def thousand(value: float) -> str | None:
    """+2.31; None where it is unknown."""
    return None if absent(value) else f"{PER * value:+.3g}"


def forest(evidence: Evidence, limits: Limits) -> list[dict[str, Any]]:
    """Per outcome a scale and the rows of the deciding estimators, target first."""
    value = evidence.policy_value
    if value is None:
        return []
    order = sorted(value.outcomes, key=lambda name: (name != value.target, name))
    margins = {name: -lost for name, lost in limits.policy_value.guardrails.items()}
    margins[value.target] = limits.policy_value.gain_min
    return [
        _plot(value.outcomes[name], name, limits, margins.get(name), name == value.target)
        for name in order
    ]


def _plot(
    outcome: Outcome, name: str, limits: Limits, margin: float | None, decides: bool
) -> dict[str, Any]:
    listed = [e for e in deciding(outcome, limits.policy_value) if e in outcome.estimates]
    gaps = [outcome.estimates[e].difference for e in listed]
    unit = f"{outcome.unit} per 1,000 displays"
    scale = svg.scale_over([*_ends(gaps), None if margin is None else PER * margin])
    return {
        "name": name,
        "unit": unit,
        "decides": decides,
        "margin": None if margin is None else PER * margin,
        "axis": svg.axis(scale, f"difference in {unit}"),
        "rows": [
            _row(ESTIMATORS.get(e, e), gap, scale, margin)
            for e, gap in zip(listed, gaps, strict=True)
        ],
    }


def _ends(gaps: list[Interval]) -> list[float]:
    return [PER * x for gap in gaps for x in (gap.value, gap.low, gap.high) if not absent(x)]


def _row(
    label: str,
    gap: Interval,
    scale: svg.Scale,
    margin: float | None = None,
    wide: Interval | None = None,
) -> dict[str, Any]:
    shown = [None if absent(x) else PER * x for x in (gap.value, gap.low, gap.high)]
    outer = [PER * x for x in (wide.low, wide.high) if not absent(x)] if wide else []
    text = in_words(gap)
    tone = "pass" if (shown[1] or 0) > 0 else "fail" if (shown[2] or 0) < 0 else ""
    drawn = svg.strip(
        shown,
        scale,
        says=f"{label}: {text}",
        tone=tone,
        margin=None if margin is None else PER * margin,
        wide=outer,
    )
    return {"label": label, "strip": drawn, "text": text}


def in_words(gap: Interval) -> str:
    """+2.31 (+0.80 to +3.82), per 1,000."""
    if absent(gap.value):
        return "not measured"
    if absent(gap.low) or absent(gap.high):
        return f"{thousand(gap.value)} (no bounds)"
    return f"{thousand(gap.value)} ({thousand(gap.low)} to {thousand(gap.high)})"


def estimator_rows(evidence: Evidence) -> dict[str, Any] | None:
    """Every estimator of the target side by side; None where nothing was estimated."""
    target = evidence.target()
    if target is None or not target.estimates:
        return None
    chosen = {k: target.estimates[k] for k in ESTIMATORS if k in target.estimates}
    chosen |= {k: v for k, v in target.estimates.items() if _clipped(k)}
    scale = svg.scale_over(_ends([one.difference for one in chosen.values()]))
    return {
        "unit": target.unit,
        "axis": svg.axis(scale, f"difference in {target.unit} per 1,000 displays"),
        "rows": [
            _row(_estimator(name), one.difference, scale, wide=one.bernstein)
            | {"challenger": in_plain(one.challenger), "incumbent": in_plain(one.incumbent)}
            for name, one in chosen.items()
        ],
    }


def _clipped(name: str) -> bool:
    return name.startswith(tuple(f"{one}_clip_" for one in CLIPPED))


def _estimator(name: str) -> str:
    main, _, clipped = name.partition("_clip_")
    return ESTIMATORS.get(name) or f"{CLIPPED.get(main, main)}, weights clipped at {clipped}"


def in_plain(one: Interval) -> str:
    """A value per 1,000 without a sign."""
    return "–" if absent(one.value) else number(PER * one.value)


def health_facts(evidence: Evidence) -> list[tuple[str, str]]:
    """Figures of the estimate's health, with what they are called."""
    target = evidence.target()
    if target is None:
        return []
    health = target.health
    sizes = (
        ("displays judged on", health.displays),
        ("rewarded displays", health.events),
        ("clusters drawn", float(target.clusters)),
        ("effective sample", health.effective_sample),
        ("effective rewarded displays", health.effective_events),
        ("largest weight", health.largest_weight),
    )
    shares = (
        ("largest share of one display", health.largest_share),
        ("propensity known", health.known_share),
        ("support", health.support),
    )
    found = [(name, count(x)) for name, x in sizes] + [(name, percent(x)) for name, x in shares]
    return found + _slot_facts(target) + _flattered(evidence)


def _slot_facts(target: Outcome) -> list[tuple[str, str]]:
    """The same of the slots' weights, or why there are none."""
    slots = target.slot_health
    if slots is None:
        return [("by slots", target.slots_wanting)] if target.slots_wanting else []
    return [
        ("by slots: effective sample", count(slots.effective_sample)),
        ("by slots: effective rewarded displays", count(slots.effective_events)),
        ("by slots: largest share of one display", percent(slots.largest_share)),
        ("by slots: displays with a weight", percent(slots.known_share)),
    ]


def _flattered(evidence: Evidence) -> list[tuple[str, str]]:
    days, name = evidence.incumbent.learned_judged, evidence.incumbent.name
    return (
        [(f"judged days that {name} learned from (flatters it)", ", ".join(days))] if days else []
    )


def slice_rows(evidence: Evidence) -> dict[str, Any] | None:
    """Slices by worst lower bound, and those too thin to compare; None where there are none."""
    if not evidence.slices:
        return None
    thick = [one for one in evidence.slices if not absent(one.difference.value)]
    thick.sort(key=lambda one: (absent(one.difference.low), one.difference.low))
    scale = svg.scale_over(_ends([one.difference for one in thick]))
    target = evidence.target()
    rows = [
        _row(f"{one.name} = {one.value}", one.difference, scale)
        | {"displays": one.displays, "p": one.p_holm}
        for one in thick
    ]
    return {
        "axis": svg.axis(scale, f"difference in {target.unit if target else 'reward'} per 1,000"),
        "rows": rows,
        "thin": [one for one in evidence.slices if absent(one.difference.value)],
    }
