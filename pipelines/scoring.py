"""`genco score` and `recommend`: what a bundle says of combinations (CONTRACT 6)."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from components.adapters.signing import is_intact
from components.errors import Refused, WrongUse
from model.bags import Bags, read_bags, read_context
from model.bundle import BadBundle, Bundle, load_bundle
from model.combinations import Rules
from model.elements import Elements
from model.reward.interval import rate_bounds
from model.serving import Distribution
from pipelines.tables import read_table, write_table

_ELEMENT_COLUMNS = ("product_id", "slot", "element_id")


def open_bundle(folder: Path) -> Bundle:
    """The verified bundle, or Refused saying what is wrong with it."""
    try:
        return load_bundle(folder, intact=is_intact)
    except BadBundle as error:
        raise Refused(str(error)) from error


def score(bundle: Path, bags: Path, elements: Path | None, out: Path) -> dict[str, Any]:
    """Writes the rows in their order with predictions and attribution; returns the counts."""
    opened = open_bundle(bundle)
    table = read_table(bags, ("product_id", "context", "creative"), "--bags")
    known = opened.known
    if elements is not None:
        known = known.concat(read_elements(elements, opened))
    try:
        rows = read_bags(table, known, opened.context)
    except ValueError as error:
        raise Refused(f"--bags {bags}: {error}") from error
    scored = _scored(opened, rows, known)
    for name, column in scored.items():
        if name in table.column_names:
            table = table.drop_columns([name])
        table = table.append_column(name, column)
    write_table(table, out)
    return {"rows": len(table), "out": str(out)}


def _scored(opened: Bundle, rows: Bags, known: Elements) -> dict[str, pa.Array]:
    predicted = opened.reward.predict(rows, known)
    terms = opened.reward.attribution(rows, known)
    low, high = rate_bounds(predicted.click, predicted.click_spread, opened.reward.members)
    nothing = pa.nulls(len(rows), pa.float64())
    conversion = nothing if predicted.conversion is None else pa.array(predicted.conversion)
    seen = opened.reward.event == "click"  # else the log had none, and `click` is a conversion
    return {
        "predicted_click": pa.array(predicted.click) if seen else nothing,
        "predicted_conversion": conversion,
        "attribution": _attribution(opened.slots, rows, known, terms.element),
        "product_term": pa.array(np.asarray(terms.base + terms.product, np.float64)),
        "context_term": pa.array(np.asarray(terms.context, np.float64)),
        "interaction_term": pa.array(np.asarray(terms.interaction, np.float64)),
        "click_spread": pa.array(predicted.click_spread),
        "click_low": pa.array(low),
        "click_high": pa.array(high),
    }


def _attribution(
    slots: tuple[str, ...], rows: Bags, known: Elements, contribution: np.ndarray
) -> pa.Array:
    """A list a row of {slot, element_id, contribution}, for the elements shown."""
    shown = rows.element >= 0
    row, slot = np.nonzero(shown)
    entries = pa.StructArray.from_arrays(
        [
            pa.array(np.array(slots, object)[slot], pa.string()),
            pa.array(known.element_id[rows.element[row, slot]], pa.string()),
            pa.array(np.asarray(contribution[row, slot], np.float64)),
        ],
        names=["slot", "element_id", "contribution"],
    )
    offsets = np.concatenate([[0], np.cumsum(shown.sum(axis=1))]).astype(np.int32)
    return pa.ListArray.from_arrays(pa.array(offsets), entries)


def read_elements(file: Path, opened: Bundle) -> Elements:
    table = read_table(file, _ELEMENT_COLUMNS, "--elements")
    strangers = sorted(set(table["slot"].to_pylist()) - set(opened.slots))
    if strangers:
        raise WrongUse(
            f"--elements {file} has slots {', '.join(map(str, strangers))}; this bundle knows "
            f"{', '.join(opened.slots)}"
        )
    table = _embedded(table, opened)
    try:
        return Elements.from_table(table, opened.slots)
    except ValueError as error:
        raise Refused(f"--elements {file}: {error}") from error


def _embedded(table: pa.Table, opened: Bundle) -> pa.Table:
    """Texts embedded as those that the model was trained on; the table as it is where none were."""
    used = opened.config.get("text_encoder")
    if not used or not used["slots"] or "text" not in table.column_names:
        return table
    from components.adapters.text_encoder import TextEncoder
    from components.materialize_features.embedding import embed_table

    encoder = TextEncoder(used["name"])
    if encoder.fingerprint != used["fingerprint"]:
        raise Refused(
            f"the bundle's texts were embedded by {used['fingerprint']}, installed here is "
            f"{encoder.fingerprint}; install the one that the bundle names"
        )
    return embed_table(table, encoder, slots=used["slots"])[0]


def recommend(
    bundle: Path,
    requests: Path,
    elements: Path | None,
    combinations: Path | None,
    forbidden: Path | None,
    out: Path,
    k: int | None,
) -> dict[str, Any]:
    """Writes a row a request and combination, by probability; k None gives all of them."""
    opened = open_bundle(bundle)
    table = read_table(requests, ("product_id", "context"), "--requests")
    candidates = opened.elements
    if elements is not None:
        given = read_elements(elements, opened)
        candidates = opened.known.concat(given).matching(given)
    policy = opened.policy(candidates, _rules(opened, combinations, forbidden))
    products = [str(product) for product in table["product_id"].to_pylist()]
    context = read_context(table, opened.context)
    try:
        if k is not None:
            found = policy.top(products, context, k)
        else:
            found = [
                policy.distribution(product, {n: v[i] for n, v in context.items()})
                for i, product in enumerate(products)
            ]
    except ValueError as error:
        raise Refused(f"--requests {requests}: {error}") from error
    answer = _recommended(table, found, opened.slots)
    write_table(answer, out)
    return {"requests": len(table), "rows": len(answer), "out": str(out)}


def _rules(opened: Bundle, combinations: Path | None, forbidden: Path | None) -> Rules:
    """The bundle's rules, a table given on the command line in place of its own."""
    own = opened.rules.tables()
    allowed, pairs = own
    if combinations is not None:
        allowed = read_table(combinations, ("product_id", "creative"), "--combinations")
    if forbidden is not None:
        needed = ("slot_a", "element_a", "slot_b", "element_b")
        pairs = read_table(forbidden, needed, "--forbidden")
    return Rules.from_tables(allowed, pairs, opened.rules.optional)


def _recommended(table: pa.Table, found: list[Distribution], slots: tuple[str, ...]) -> pa.Table:
    counts = [len(choice.probability) for choice in found]
    rows = np.repeat(np.arange(len(found)), counts)
    order = [np.argsort(-choice.probability, kind="stable") for choice in found]
    creatives = [
        [{"slot": s, "element": c[s]} for s in slots if s in c]
        for choice, ranks in zip(found, order, strict=True)
        for c in (choice.combinations[i] for i in ranks)
    ]
    kind = pa.list_(pa.struct([("slot", pa.string()), ("element", pa.string())]))
    picked = table.select(["product_id", "context"]).take(pa.array(rows))
    pairs = list(zip(found, order, strict=True))
    return (
        picked.append_column("creative", pa.array(creatives, kind))
        .append_column("probability", pa.array(_joined([c.probability[o] for c, o in pairs])))
        .append_column(
            "predicted_reward", pa.array(_joined([c.predicted_reward[o] for c, o in pairs]))
        )
        .append_column(
            "rank", pa.array(_joined([np.arange(1, n + 1) for n in counts]).astype(np.int64))
        )
    )


def _joined(parts: list[np.ndarray]) -> np.ndarray:
    return np.concatenate(parts) if parts else np.zeros(0)
