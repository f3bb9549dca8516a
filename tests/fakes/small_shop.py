"""A shop small enough that a whole day takes seconds: config and logs below a folder."""

from pathlib import Path

from examples.storefront.shop import Shop

DS = "2026-11-22"
CONFIG = """\
name: small
logs: {root}/logs
catalog: {root}/catalog
store: {store}
slots: [title, image, highlight, tag]
context: {{placement: categorical, device: categorical, segment: categorical, hour: number}}
holdout: {{days: 1}}
publish: {{top: 3, cells: [device]}}
gate: {{draws: 200}}
train_reward: {{options: {{members: 2, steps: 40, buckets: 1024}}}}
train_generator: {{options: {{steps: 12, clone_steps: 6, pool: 128, batch: 32, group: 4, probe: 32}}}}
"""


def write_shop(root: Path, days: int = 3, impressions: int = 1500, products: int = 5) -> Shop:
    """Days of logs up to DS, dirt included."""
    shop = Shop.create(7, products)
    first = f"2026-11-{22 - days + 1:02d}"
    shop.write_days(root, first, days, impressions)
    return shop


def write_config(root: Path, store: str, more: str = "") -> Path:
    """A config over the logs in `root` with its own store."""
    name = store.rstrip("/").rsplit("/", 1)[-1]
    file = root / f"{name}.yaml"
    file.write_text(CONFIG.format(root=root, store=store) + more)
    return file
