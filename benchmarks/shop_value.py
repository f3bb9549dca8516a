"""True value of the published policy in simulated shops, whose truth is known.

For each seed: a week of logs, the day's stages up to the generator, and the exact expected click
probability of four policies over the same sample of contexts. Printed as ratios and as the share
of the distance from the logging policy to the best possible that the published one closes.
"""

import argparse
import json
import tempfile
from pathlib import Path

import numpy as np

from benchmarks.day import CONFIG
from examples.storefront.shop import Shop

DS = "2026-11-22"


def published_value(
    shop: Shop, bundle: Path, product: np.ndarray, context: dict[str, np.ndarray]
) -> float:
    """Exact mean true reward of the bundle's policy over these rows."""
    from model.bundle import load_bundle

    opened = load_bundle(bundle, sealed=False)
    policy = opened.policy()
    values = []
    for row, p in enumerate(product):
        name = shop.truth.products[p]
        asked = {key: column[row] for key, column in context.items()}
        shown = policy.distribution(name, asked)
        choice = shop.choices([name] * len(shown.combinations), shown.combinations)
        same = {
            key: np.repeat(column[row : row + 1], len(choice)) for key, column in context.items()
        }
        reward = shop.true_reward(np.full(len(choice), p), same, choice)
        values.append(float(reward @ shown.probability))
    return float(np.mean(values))


def one_seed(seed: int, impressions: int, contexts: int) -> dict[str, float]:
    """Values of uniform, logging, published and best possible choice in one shop."""
    from pipelines.local import run_day
    from pipelines.running import load_config, make_plan

    with tempfile.TemporaryDirectory(prefix="genco-shop-") as folder:
        root = Path(folder)
        shop = Shop.create(seed)
        shop.write_days(root, "2026-11-16", 7, impressions // 7)
        (root / "shop.yaml").write_text(CONFIG.format(root=root))
        plan = make_plan(load_config(root / "shop.yaml"))
        summary = run_day(plan, DS, "train_generator", lambda stage: None)
        if summary.verdict is not None:
            raise SystemExit(f"seed {seed}: {summary.verdict}: {summary.reasons}")
        bundle = root / "store" / f"days/ds={DS}/attempt={summary.attempt}/train_generator/bundle"
        product, context = shop.contexts(contexts)
        return {
            "uniform": shop.table_value(shop.uniform(), product, context),
            "logging": shop.table_value(shop.logging, product, context),
            "published": published_value(shop, bundle, product, context),
            "best": shop.best_value(product, context),
        }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--impressions", type=int, default=200_000)
    parser.add_argument("--contexts", type=int, default=400)
    asked = parser.parse_args()
    rows = []
    for seed in range(asked.seeds):
        found = one_seed(seed, asked.impressions, asked.contexts)
        closed = (found["published"] - found["logging"]) / (found["best"] - found["logging"])
        rows.append(
            {
                "seed": seed,
                **found,
                "ratio": found["published"] / found["logging"],
                "closed": closed,
            }
        )
        print(json.dumps({k: round(v, 5) for k, v in rows[-1].items()}), flush=True)
    above = sum(row["ratio"] > 1 for row in rows)
    print(f"published above logging in {above} of {len(rows)} seeds")
    for name in ("ratio", "closed"):
        values = [row[name] for row in rows]
        print(
            f"{name}: mean {np.mean(values):.3f}, lowest {min(values):.3f}, highest {max(values):.3f}"
        )


if __name__ == "__main__":
    main()
