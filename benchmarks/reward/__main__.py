"""`python -m benchmarks.reward`: our reward model and its rivals, one command, one table each.

upworthy   lift over uniform choice on later tests of the archive, and the negative control
shop       a simulated shop with some 100,000 clicks whose truth is known
ablations  our model without each of its parts, on both
sparsity   our model and rivals on 1, 1/3, 1/10 and 1/30 of the displays, on both
value      what a conversion is worth, beside the product's mean
speed      training rows a second beside a plain loop with a DataLoader; wants the machine alone
"""

import argparse
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
from threadpoolctl import threadpool_limits

from benchmarks.reward import control, known, lifts, ours, speed, taken, upworthy, value
from benchmarks.reward.shop import make_world
from benchmarks.reward.task import Task

SHARED = Path(__file__).resolve().parents[3] / "shared/data/upworthy/experiments.parquet"
CONTROL_DRAWS = 6
Named = TypeVar("Named")


@dataclass(frozen=True)
class Sizes:
    """How much is measured; the small ones are for a look, not for a claim."""

    products: tuple[int, ...] = (20, 60)
    clicks: int = 100_000
    part_products: int = 30
    part_displays: int = 400_000
    draws: int = CONTROL_DRAWS
    sold: tuple[int, ...] = (200_000, 1_000_000)


SMALL = Sizes((20,), 10_000, 20, 100_000, 4, (100_000,))


def main(given: Sequence[str] | None = None) -> None:
    """Prints the tables asked for."""
    asked = _arguments(given)
    sizes = SMALL if asked.small else Sizes()
    wanted = asked.only or list(TABLES)
    began = time.perf_counter()
    with threadpool_limits(1):
        for name in wanted:
            TABLES[name](asked, sizes)
    print(f"\n{time.perf_counter() - began:.0f} s with {asked.workers} workers")


def _arguments(given: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", action="append", choices=list(TABLES), help="may be repeated")
    parser.add_argument("--data", type=Path, default=SHARED, help="the archive's Parquet or CSV")
    parser.add_argument("--seed", type=int, default=0, help="of the simulated shop")
    parser.add_argument(
        "--folds",
        type=int,
        choices=range(1, len(upworthy.FOLDS) + 1),
        default=1,
        help="folds of the archive, latest first, that ablations and sparsity are judged on",
    )
    parser.add_argument("--workers", type=int, default=2, help="processes of one thread each")
    parser.add_argument("--small", action="store_true", help="a quick look with less of all")
    parser.add_argument(
        "--ways",
        help="rows of the first two tables by words of their names; without control and doubling",
    )
    return parser.parse_args(given)


def _archive(asked: argparse.Namespace) -> upworthy.Archive | None:
    """The archive with embeddings; None where it is not there."""
    from components.adapters.text_encoder import TextEncoder

    if not asked.data.is_file():
        print(f"{asked.data} is not there, so Upworthy is left out; say --data the archive's file")
        return None
    return upworthy.embedded(upworthy.read(asked.data), TextEncoder("minilm"))


def _named(ways: Mapping[str, Named], asked: str | None, always: Sequence[str]) -> dict[str, Named]:
    """The ways whose names hold one of the words asked for, and those always wanted."""
    words = asked.split(",") if asked else [""]
    return {n: w for n, w in ways.items() if n in always or any(word in n for word in words)}


def _upworthy(asked: argparse.Namespace, sizes: Sizes) -> None:
    text = _archive(asked)
    if text is None:
        return
    ways = _named(lifts.WAYS, asked.ways, lifts.JUDGED)
    plain = upworthy.read(asked.data)
    print(lifts.report(*lifts.measure(plain, text, ways, asked.workers)), flush=True)
    slots = (*upworthy.SLOTS, *upworthy.CONTROLS)
    if not asked.ways:
        told = upworthy.read(asked.data, slots)
        task = _control(told)
        setting = ours.Setting({"members": 2})
        print(control.report(control.controls(task, setting, sizes.draws, asked.workers)))


def _control(archive: upworthy.Archive) -> Task:
    """Learned from the tests that vary a control, whose arms are looked at themselves."""
    first = len(upworthy.SLOTS)
    shown = archive.bags.element
    moving = [control.varied(archive.bags, slot) for slot in range(first, shown.shape[1])]
    kept = np.flatnonzero(np.any(moving, axis=0))
    fewer = upworthy.Archive(archive.bags.take(kept), archive.elements, archive.place[kept])
    past = fewer.task(1.01, 1.01)
    return Task(past.train, past.valid, fewer.bags, archive.elements, {})


def _shop(asked: argparse.Namespace, sizes: Sizes) -> None:
    ways = _named(known.WAYS, asked.ways, (known.OURS,))
    for products in sizes.products:
        twice = products == sizes.products[0] and not asked.ways
        found = known.measure(asked.seed, products, sizes.clicks, asked.workers, ways, twice)
        print(known.report(*found), flush=True)


def _parts(asked: argparse.Namespace, sizes: Sizes) -> taken.Places:
    world = make_world(asked.seed, sizes.part_products)
    return taken.places(_archive(asked), upworthy.FOLDS[-asked.folds :], world, sizes.part_displays)


def _ablations(asked: argparse.Namespace, sizes: Sizes) -> None:
    print(taken.ablations(_parts(asked, sizes), asked.workers), flush=True)


def _sparsity(asked: argparse.Namespace, sizes: Sizes) -> None:
    print(taken.sparsity(_parts(asked, sizes), asked.workers), flush=True)


def _value(asked: argparse.Namespace, sizes: Sizes) -> None:
    found = value.measure(asked.seed, sizes.part_products, sizes.sold, asked.workers)
    print(value.report(found), flush=True)


def _speed(asked: argparse.Namespace, sizes: Sizes) -> None:
    print(speed.report(asked.seed, sizes.part_products, sizes.part_displays, 2), flush=True)


TABLES: dict[str, Callable[[argparse.Namespace, Sizes], None]] = {
    "upworthy": _upworthy,
    "shop": _shop,
    "ablations": _ablations,
    "sparsity": _sparsity,
    "value": _value,
    "speed": _speed,
}

if __name__ == "__main__":
    main()
