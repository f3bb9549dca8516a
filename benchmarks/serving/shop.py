"""A policy to be timed: 4 slots x 16 candidates, 65,536 legal combinations a product."""

from dataclasses import replace

import numpy as np

from benchmarks.generator_worlds import DEVICES, Planted, learned
from model.bags import Bags
from model.combinations import Rules
from model.generator.config import GeneratorConfig
from model.generator.fit import fit_generator
from model.serving import Mixture, ServingPolicy

CANDIDATES, RERANKED, DISPLAYS = 16, 32, 8000
CONTEXT = {"device": "categorical", "hour": "number"}
QUICK = GeneratorConfig(pool=64, probe=8, steps=2, clone_steps=2, batch=16)


def world_of(products: int) -> tuple[Planted, Bags]:
    """The shop and its log, with a time of day that decides nothing."""
    world = Planted.of(products, CANDIDATES, seed=3)
    bags = world.log(DISPLAYS, seed=1)
    hour = np.random.default_rng(2).uniform(0, 24, len(bags))
    return world, replace(bags, context={**bags.context, "hour": hour})


def policy_of(products: int, sampled: float = 0.0) -> ServingPolicy:
    """Trained for a moment: what is timed does not depend on what was learned."""
    world, bags = world_of(products)
    reward = learned(world, bags, steps=20)
    generator, _ = fit_generator(bags, world.elements, Rules(), reward, CONTEXT, QUICK, seed=0)
    mixture = Mixture(temperature=0.02 * reward.base_rate, candidates=RERANKED, sampled=sampled)
    return ServingPolicy(reward, generator, world.elements, Rules(), mixture, CONTEXT)


def requests_of(
    policy: ServingPolicy, count: int, seed: int
) -> tuple[list[str], list[dict[str, object]]]:
    """(products, contexts) at random, no two requests alike."""
    rng = np.random.default_rng(seed)
    names = sorted(set(policy.elements.product_id.astype(str).tolist()))
    products = [names[at] for at in rng.integers(len(names), size=count)]
    device, hour = rng.integers(len(DEVICES), size=count), rng.uniform(0, 24, size=count)
    told = [{"device": DEVICES[d], "hour": h} for d, h in zip(device, hour.tolist(), strict=True)]
    return products, told
