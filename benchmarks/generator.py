"""What the generator must reach: known truth, the reward hacking probe, legality. One core.

Known truth: the top recommendation against the exact best under the same reward model, products of
256 to 104,976 legal combinations. Probe: a reward model with a false bonus outside the log's
support, followed by the plain generator and not by the cautious one. Legality: samples of an
untrained, loud network under allow-lists, forbidden pairs and optional slots, checked one by one
against the rules' words.
"""

import argparse
from dataclasses import dataclass, replace
from time import perf_counter

import numpy as np
import torch

from benchmarks.generator_rules import Ruled, illegal_among
from benchmarks.generator_worlds import CONTEXT, Planted, Trap, asked_of, learned
from model.combinations import Rules, space_of
from model.generator.config import GeneratorConfig
from model.generator.fit import fit_generator
from model.generator.search import exact_top, score
from model.serving import Mixture, ServingPolicy

TRAINED = GeneratorConfig(
    width=32, clone_steps=30, steps=80, batch=48, group=12, pool=384, probe=32
)
PROBE = replace(TRAINED, clone_steps=30, steps=120, kl_weight=0.3, kl_target=2.0)
FREE = {"pessimism": 0.0, "support": 1e9, "least_shown": 0.0}
CAUTIONS = {
    "cautious (default)": {},
    "pessimism only": {"support": 1e9, "least_shown": 0.0},
    "gate only": {"pessimism": 0.0},
    "plain": FREE,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--samples", type=int, default=10_000_000)
    parser.add_argument("--displays", type=int, default=40_000, help="in the log of a world")
    parser.add_argument("--group", type=int, default=PROBE.group, help="samples a context of probe")
    parser.add_argument("--only", choices=("truth", "probe", "legal", "options"))
    asked = parser.parse_args()
    torch.set_num_threads(1)
    parts = {
        "truth": lambda: known_truth(asked.displays),
        "probe": lambda: probe(asked.displays, asked.group),
        "options": lambda: options(asked.displays),
        "legal": lambda: legality(asked.samples),
    }
    for name in [asked.only] if asked.only else parts:
        parts[name]()


def known_truth(displays: int) -> None:
    """Shares of the exact best reward, over products and contexts."""
    print("known truth: share of the exact best reward under the same reward model")
    print("| legal combinations | what | requests | mean | worst | seconds |")
    print("|---|---|---|---|---|---|")
    for candidates, products in ((4, 8), (8, 8), (16, 4), (18, 3)):
        world = Planted.of(products, candidates, seed=candidates)
        bags = world.log(displays, seed=1)
        reward = learned(world, bags, steps=80)
        given = (
            bags,
            world.elements,
            Rules(),
            reward,
            CONTEXT,
            GeneratorConfig(pool=512, probe=32),
        )
        generator, _ = fit_generator(*given, seed=0)
        requests = asked_of(bags, 48)
        for name, mixture, proposer in (
            ("published top", Mixture(temperature=0.02 * reward.base_rate), generator),
            ("published top, searched", _searching(reward.base_rate), generator),
            ("generator alone, beam of 1", None, generator),
            ("best of the generator's 16", None, generator),
        ):
            began = perf_counter()
            shares = _shares(world, reward, proposer, requests, mixture, name)
            took = perf_counter() - began
            print(
                f"| {candidates**4:,} | {name} | {len(shares)} | {shares.mean():.4f} | "
                f"{shares.min():.4f} | {took:.1f} |",
                flush=True,
            )


def _searching(base_rate: float) -> Mixture:
    """The mixture with its exact search switched off: K(x) comes from a beam, as beyond 100,000."""
    return Mixture(temperature=0.02 * base_rate, exact=0)


def _shares(world, reward, generator, requests, mixture: Mixture | None, name: str) -> np.ndarray:
    names = requests.product_id.tolist()
    own, which = np.unique(requests.product_id.astype(str), return_inverse=True)
    spaces = [space_of(str(product), world.elements, Rules()) for product in own]
    proposer = generator.over(world.elements, spaces)
    rows = proposer.lattice.rows[which]
    pieces = reward.pieces(names, requests.context, world.elements, rows)
    order = np.argsort(which, kind="stable")
    best = np.empty(len(which))
    held = pieces.take(torch.from_numpy(order))
    best[order] = exact_top(held, spaces, which[order], 1, 1e-12).reward[:, 0].numpy()
    if mixture is not None:
        policy = ServingPolicy(reward, generator, world.elements, Rules(), mixture, CONTEXT)
        found = np.array([d.predicted_reward[0] for d in policy.top(names, requests.context, 1)])
    else:
        asked = proposer.asked(which, requests.context, pieces)
        beam = proposer.beam(asked, 1 if "beam of 1" in name else 16).combinations
        found = score(pieces, beam).max(1).values.numpy()
    return found / best


@dataclass(frozen=True)
class Followed:
    """How often samples show what is poisoned, and their true mean reward."""

    shown: float
    value: float


def follow(trap: Trap, config: GeneratorConfig, requests: int = 256) -> dict[str, Followed]:
    """Of uniform choice and of the generator that this config trains."""
    world, bags = trap.world, trap.bags
    given = (bags, world.elements, Rules(), trap.told, CONTEXT, config)
    generator, _ = fit_generator(*given, seed=0)  # type: ignore[arg-type]
    rows, found = asked_of(bags, requests), {}
    for name, explore in (("uniform", 0.0), ("generator", 1.0)):
        mixture = Mixture(explore=explore, uniform=1.0 - explore, temperature=1.0)
        policy = ServingPolicy(
            trap.reward.honest, generator, world.elements, Rules(), mixture, CONTEXT
        )
        shown = policy.sample(rows, 16, np.random.default_rng(0)).reshape(-1, 4)
        value = world.chance(shown, np.repeat(rows.context["device"], 16))
        found[name] = Followed(float(trap.caught(shown).mean()), float(value.mean()))
    return found


def probe(displays: int, group: int) -> None:
    """A false bonus of 1.5 log-odds on an element, or a pair, that the log never showed."""
    print("reward hacking probe: share of the samples that show what is poisoned, true value")
    print("| poisoned | generator | shows it | uniform shows it | true value / uniform |")
    print("|---|---|---|---|---|")
    for kind in ("element", "pair"):
        trap = Trap.of(kind, products=8, displays=displays, seed=5, steps=80)
        honest = replace(trap, told=trap.reward.honest)
        for name, changes in {"without the bonus": {}, **CAUTIONS}.items():
            which = trap if name in CAUTIONS else honest
            found = follow(which, replace(PROBE, group=group, **changes))
            own, even = found["generator"], found["uniform"]
            print(
                f"| {kind} | {name} | {own.shown:.3f} | {even.shown:.3f} | "
                f"{own.value / even.value:.3f} |",
                flush=True,
            )


def options(displays: int) -> None:
    """The ways to follow the reward, at the same steps."""
    world = Planted.of(8, 6, seed=2)
    bags = world.log(displays, seed=1)
    reward = learned(world, bags, steps=80)
    print("options at equal steps: share of the distance uniform -> best that samples close")
    print("| method | closed | beam of 1 / best | distinct in 16 | coverage | seconds |")
    print("|---|---|---|---|---|---|")
    for method in ("gradient", "leave_one_out", "clipped", "best_of"):
        config, began = replace(TRAINED, method=method), perf_counter()
        _, told = fit_generator(bags, world.elements, Rules(), reward, CONTEXT, config, seed=0)
        print(
            f"| {method} | {told['reward_closed']:.3f} | "
            f"{told['reward_beam'] / told['reward_best']:.3f} | {16 * told['distinct']:.1f} | "
            f"{told['coverage']:.2f} | {perf_counter() - began:.1f} |",
            flush=True,
        )


def legality(samples: int) -> None:
    """Samples of a loud random network, checked by the rules' words."""
    ruled, began = Ruled.of(products=12, seed=3), perf_counter()
    drawn = illegal = 0
    rng = np.random.default_rng(0)
    while drawn < samples:
        product, shown = ruled.sample(min(200_000, samples - drawn), rng)
        illegal += illegal_among(ruled, product, shown)
        drawn += len(shown)
    print(
        f"legality: {illegal:,} illegal in {drawn:,} samples of {len(ruled.spaces)} products "
        f"(allow-lists, forbidden pairs, optional slots), {perf_counter() - began:.0f} s"
    )


if __name__ == "__main__":
    main()
