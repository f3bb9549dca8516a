"""The simulated shop: writes days of logs and a catalog, and answers for the truth."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa

from examples.storefront.dirt import PER_KIND, split_late, write_dirt
from examples.storefront.events import make_contexts, make_displays
from examples.storefront.policies import Shows, TablePolicy, logging_policy, uniform_policy
from examples.storefront.rules import ShopRules, make_rules
from examples.storefront.truth import SLOTS, Truth, make_truth, one_hot
from examples.storefront.writing import (
    event_tables,
    impressions_table,
    shift,
    write_catalog,
    write_parts,
    write_table,
)


@dataclass(eq=False)
class Shop:
    """A shop made from a seed; the same seed and products give the same shop."""

    seed: int
    truth: Truth
    rules: ShopRules
    logging: TablePolicy
    pending: dict[str, list[tuple[str, str, pa.Table]]] = field(default_factory=dict)

    @staticmethod
    def create(seed: int = 0, products: int = 60) -> "Shop":
        """The shop of a seed."""
        truth = make_truth(seed, products)
        rules = make_rules(truth, seed)
        return Shop(seed, truth, rules, logging_policy(truth, rules, seed))

    @staticmethod
    def load(file: Path) -> "Shop":
        """The shop that a truth.json speaks of."""
        told = json.loads(file.read_text())
        return Shop.create(told["seed"], told["products"])

    def write_days(
        self,
        root: Path,
        first_ds: str,
        days: int,
        impressions_per_day: int,
        dirt: bool = True,
        policy: Shows | None = None,
    ) -> dict[str, int]:
        """Writes logs/ and catalog/ below root, and truth.json; returns what was written.

        Conversions that happen after the last day wait in `pending` for a later call.
        """
        last = shift(first_ds, days - 1)
        total: Counter[str] = Counter()
        for number in range(days):
            ds = shift(first_ds, number)
            total.update(self._write_day(root, ds, last, impressions_per_day, dirt, policy))
        told = {"seed": self.seed, "products": len(self.truth.products)}
        (root / "truth.json").write_text(json.dumps(told) + "\n")
        return dict(total)

    def _write_day(
        self, root: Path, ds: str, last: str, impressions: int, dirt: bool, policy: Shows | None
    ) -> dict[str, int]:
        shows = policy or self.logging
        rng = np.random.default_rng([self.seed, 4, int(ds.replace("-", ""))])
        shown = make_displays(self.truth, shows, impressions, rng)
        logs = root / "logs"
        table = impressions_table(self.truth, ds, shown, shows.name)
        write_parts(logs, "impressions", ds, table)
        clicks, conversions = event_tables(ds, shown)
        if dirt and ds < last:
            clicks[ds], late = split_late(clicks[ds])
            self.pending.setdefault(shift(ds, 1), []).append(("clicks", f"part-late-{ds}", late))
        for kind, by_day in (("clicks", clicks), ("conversions", conversions)):
            for day, rows in by_day.items():
                self.pending.setdefault(day, []).append((kind, f"part-from-{ds}", rows))
        for day in [day for day in sorted(self.pending) if day <= ds]:
            for kind, name, rows in self.pending.pop(day):
                write_table(logs, kind, ds, rows, name)
        write_catalog(root / "catalog", ds, self.truth, self.rules)
        planted: dict[str, int] = {}
        if dirt:
            planted = write_dirt(logs, ds, table, clicks[ds], rng)
            planted["late click"] = PER_KIND if ds < last else 0
        return {
            "impressions": impressions,
            "clicks": len(shown.clicked),
            "conversions": len(shown.converted),
            **planted,
        }

    def true_reward(
        self, product: np.ndarray, context: Mapping[str, np.ndarray], choice: np.ndarray
    ) -> np.ndarray:
        """(n,) true click probability; product (n,) indices, choice (n, S) candidate indices."""
        hour = np.asarray(context["hour"]).astype(np.int64)
        odds = self.truth.log_odds(product, one_hot(dict(context)), hour, choice)
        return 1 / (1 + np.exp(-odds))

    def true_click(
        self, product_id: str, context: Mapping[str, object], creative: Mapping[str, str]
    ) -> float:
        """True click probability of one combination, given by names."""
        p = self.truth.products.index(product_id)
        choice = self.choices([product_id], [creative])
        columns = {name: np.array([value], object) for name, value in context.items()}
        return float(self.true_reward(np.array([p]), columns, choice)[0])

    def choices(
        self, products: Sequence[str], creatives: Sequence[Mapping[str, str]]
    ) -> np.ndarray:
        """(n, S) candidate indices of combinations given by names, -1 where a slot is absent."""
        rows = []
        for product, creative in zip(products, creatives, strict=True):
            ids = self.truth.ids[self.truth.products.index(product)]
            rows.append(
                [
                    ids[s].index(creative[slot]) if slot in creative else -1
                    for s, slot in enumerate(SLOTS)
                ]
            )
        return np.array(rows, np.int64)

    def contexts(self, size: int, seed: int = 0) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """A fixed sample of products (n,) and contexts to judge policies on."""
        return make_contexts(self.truth, size, np.random.default_rng([self.seed, 5, seed]))

    def best_value(self, product: np.ndarray, context: Mapping[str, np.ndarray]) -> float:
        """Mean true reward of the best legal combination of each row."""
        return float(np.mean([self._rewards(p, context, i).max() for i, p in enumerate(product)]))

    def table_value(
        self, policy: TablePolicy, product: np.ndarray, context: Mapping[str, np.ndarray]
    ) -> float:
        """Exact mean true reward of a table policy on these rows."""
        rewards = [
            self._rewards(p, context, i) @ policy.probability[p] for i, p in enumerate(product)
        ]
        return float(np.mean(rewards))

    def uniform(self) -> TablePolicy:
        """Every legal combination alike."""
        return uniform_policy(self.rules)

    def _rewards(self, product: int, context: Mapping[str, np.ndarray], row: int) -> np.ndarray:
        legal = self.rules.legal[product]
        same = {
            name: np.repeat(values[row : row + 1], len(legal)) for name, values in context.items()
        }
        return self.true_reward(np.full(len(legal), product), same, legal)
