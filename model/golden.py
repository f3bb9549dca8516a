"""Golden requests: what a bundle answers, asked here and in a process that has the bundle alone.

`python -m model.golden BUNDLE` prints one JSON object: the probabilities of the most probable
combinations of each request, the time of single choices, peak memory, and packages that were
loaded beyond those that an ad server has.
"""

import json
import resource
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from model.bundle import Bundle, load_bundle

REQUESTS = 32
TOP = 5
CHOICES = 64
WARM = 4
STRANGERS = {
    "boto3", "duckdb", "feast", "great_expectations", "kfp", "mlflow", "polars", "pydantic",
    "sklearn", "transformers", "components", "pipelines", "validation",
}  # fmt: skip


def requests_of(bundle: Bundle) -> tuple[list[str], dict[str, np.ndarray]]:
    """Up to 32 products of the bundle, each in a context that its reward model knows."""
    names = np.unique(bundle.elements.product_id.astype(str))
    chosen = names[np.unique(np.linspace(0, len(names) - 1, REQUESTS).astype(int))]
    encoding = bundle.config["reward"]["encoding"]
    context: dict[str, np.ndarray] = {}
    for name, kind in bundle.context.items():
        if kind == "number":
            context[name] = np.full(len(chosen), float(encoding["numbers"][name]["mean"]))
        else:
            known = encoding["categories"][name] or [""]
            values = [known[place % len(known)] for place in range(len(chosen))]
            context[name] = np.array(values, object)
    return chosen.tolist(), context


def answers(bundle: Bundle) -> list[list[float]]:
    """Probabilities of each request's most probable combinations, most probable first."""
    products, context = requests_of(bundle)
    return [found.probability.tolist() for found in bundle.policy().top(products, context, TOP)]


def choice_times(bundle: Bundle) -> list[float]:
    """Milliseconds of single choices, one request after another, the first few left out."""
    policy = bundle.policy()
    products, context = requests_of(bundle)
    rng, times = np.random.default_rng(0), []
    for number in range(WARM + CHOICES):
        at = number % len(products)
        asked = {name: values[at] for name, values in context.items()}
        start = time.perf_counter()
        policy.choose(products[at], asked, rng)
        times.append(1000 * (time.perf_counter() - start))
    return times[WARM:]


def tell(folder: Path) -> dict[str, Any]:
    """What this process found of the sealed bundle in a folder."""
    bundle = load_bundle(folder)
    found = answers(bundle)
    times = choice_times(bundle)
    loaded = {name.split(".")[0] for name in sys.modules}
    return {
        "answers": found,
        "p95_ms": float(np.quantile(times, 0.95)),
        "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "strangers": sorted(loaded & STRANGERS),
    }


if __name__ == "__main__":
    print(json.dumps(tell(Path(sys.argv[1]))))
