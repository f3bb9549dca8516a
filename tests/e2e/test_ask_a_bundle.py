"""`genco score` and `genco recommend` on a real bundle, with elements that it never saw too."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from small_shop import DS, write_config, write_shop

from components.errors import Refused, WrongUse
from model.bundle import load_bundle
from model.serving import ServingPolicy
from pipelines import explaining, running, scoring

CONTEXT = {"placement": "home", "device": "phone", "segment": "new", "hour": 9}


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("ask")
    write_shop(root, days=2, impressions=900, products=4)
    config = write_config(root, str(root / "store"))
    bold = config.read_text().replace("publish: {", "publish: {sampled: 0.4, ")
    config.write_text(bold)
    summary = running.run(config, DS, None, "local")
    return Path(summary.bundle)


def elements(tmp_path: Path) -> Path:
    """A product that the bundle never saw: two titles, two images, a highlight, a tag."""
    rows = [
        {
            "product_id": "new",
            "slot": slot,
            "element_id": f"{slot}-{n}",
            "text": text,
            "embedding": v,
        }
        for slot, texts in (
            ("title", ["soft warm lamp", "bold new lamp"]),
            ("image", [None, None]),
            ("highlight", ["free returns"]),
            ("tag", ["sale"]),
        )
        for n, text in enumerate(texts)
        for v in [[0.1 * n] * 16 if slot == "image" else None]
    ]
    file = tmp_path / "elements.parquet"
    schema = pa.schema(
        [
            *((name, pa.string()) for name in ("product_id", "slot", "element_id", "text")),
            ("embedding", pa.list_(pa.float32())),
        ]
    )
    pq.write_table(pa.Table.from_pylist(rows, schema), file)
    return file


def creative(title: int, image: int) -> dict[str, str]:
    return {
        "title": f"title-{title}",
        "image": f"image-{image}",
        "highlight": "highlight-0",
        "tag": "tag-0",
    }


def test_a_score_is_the_sum_of_its_terms_also_for_elements_never_seen(
    bundle: Path, tmp_path: Path
) -> None:
    rows = [
        {"product_id": "new", "context": CONTEXT, "creative": creative(t, i)}
        for t in (0, 1)
        for i in (0, 1)
    ]
    asked = tmp_path / "bags.jsonl"
    asked.write_text("\n".join(json.dumps(row) for row in rows))
    scoring.score(bundle, asked, elements(tmp_path), tmp_path / "out.parquet")
    found = pq.read_table(tmp_path / "out.parquet")
    assert len(found) == len(rows)
    click = np.array(found["predicted_click"])
    terms = sum(np.array(found[n]) for n in ("product_term", "context_term", "interaction_term"))
    parts = [sum(e["contribution"] for e in row) for row in found["attribution"].to_pylist()]
    assert np.abs(terms + parts - np.log(click / (1 - click))).max() < 1e-4
    assert {e["slot"] for e in found["attribution"][0].as_py()} == set(creative(0, 0))
    assert [dict(c) for c in found["creative"].to_pylist()] == [row["creative"] for row in rows]


def test_recommendations_are_a_distribution_over_what_is_allowed(
    bundle: Path, tmp_path: Path
) -> None:
    requests = tmp_path / "requests.jsonl"
    requests.write_text(json.dumps({"product_id": "new", "context": CONTEXT}))
    forbidden = tmp_path / "forbidden.parquet"
    pair = {"slot_a": "title", "element_a": "title-0", "slot_b": "image", "element_b": "image-0"}
    pq.write_table(pa.Table.from_pylist([{"product_id": "new", **pair}]), forbidden)
    catalog, out = elements(tmp_path), tmp_path / "out.parquet"
    scoring.recommend(bundle, requests, catalog, None, forbidden, out, None)
    every = pq.read_table(out)
    assert len(every) == 3
    assert abs(sum(every["probability"].to_pylist()) - 1) < 1e-9
    assert every["rank"].to_pylist() == [1, 2, 3]
    scoring.recommend(bundle, requests, catalog, None, forbidden, out, 2)
    best = pq.read_table(out)
    assert np.allclose(best["probability"], every["probability"].to_numpy()[:2], atol=1e-6)


def test_the_bundle_keeps_the_share_of_drawn_rewards_and_its_policy_shows_them(
    bundle: Path, tmp_path: Path
) -> None:
    mixture = json.loads((bundle / "config.json").read_text())["mixture"]
    assert (mixture["sampled"], mixture["deviation"]) == (0.4, 0.3)
    policy = load_bundle(bundle).policy()
    product = sorted(set(policy.elements.product_id.tolist()))[0]
    narrow = ServingPolicy(
        policy.reward, policy.generator, policy.elements, policy.rules,
        replace(policy.mixture, sampled=0.0), policy.context,
    )  # fmt: skip
    shown, less = (one.distribution(product, CONTEXT).probability for one in (policy, narrow))
    assert shown.sum() == pytest.approx(1)
    assert 1e-3 < np.abs(shown - less).sum() / 2 <= 0.4 + 1e-9  # only that share can move


def test_explain_says_what_the_bundles_table_and_card_say(bundle: Path) -> None:
    rows = explaining.explain(bundle, "p000")["elements"]
    table = pq.read_table(bundle / "attribution.parquet").to_pylist()
    kept = [row for row in table if row["product_id"] == "p000"]
    assert [row["element_id"] for row in rows] == [row["element_id"] for row in kept]
    numbers = ("contribution", "low", "high", "per_1000", "per_1000_low", "per_1000_high")
    said, stored = ([[row[n] for n in numbers] for row in some] for some in (rows, kept))
    assert np.allclose(said, stored, rtol=1e-4, atol=1e-5)
    assert "## What elements earn" in (bundle / "card.md").read_text()
    with pytest.raises(WrongUse, match="nobody"):
        explaining.explain(bundle, "nobody")


def test_an_unknown_element_and_a_changed_bundle_are_refused(bundle: Path, tmp_path: Path) -> None:
    asked = tmp_path / "bags.jsonl"
    row = {"product_id": "p000", "context": CONTEXT, "creative": {"title": "nobody-made-this"}}
    asked.write_text(json.dumps(row))
    with pytest.raises(Refused, match="nobody-made-this"):
        scoring.score(bundle, asked, None, tmp_path / "out.parquet")
    (bundle / "extra.pkl").write_bytes(b"x")
    with pytest.raises(Refused, match="pickled"):
        scoring.score(bundle, asked, None, tmp_path / "out.parquet")
    (bundle / "extra.pkl").unlink()
