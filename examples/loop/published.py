"""GenCO in the loop: each day's displays train the next day's published policy.

The day calls the two trainings and the serving policy directly instead of all ten stages, so that
a hundred days take minutes. Nothing else differs: the propensities are the published ones.
"""

from dataclasses import dataclass, field, replace

import numpy as np

from examples.loop.bags import halves, unseen
from examples.loop.ensemble import members
from examples.loop.features import PAIR
from examples.loop.world import KINDS, Requests, Shown, World
from model.bags import Bags
from model.generator.config import GeneratorConfig
from model.generator.fit import fit_generator
from model.reward.config import RewardConfig
from model.reward.fit import Reward, fit_reward
from model.serving import Mixture, ServingPolicy

HELD = 8  # one display in so many tunes the reward model instead of training it


@dataclass(frozen=True)
class Recipe:
    """How the policy of a day is made; temperature relative to the mean reward."""

    reward: RewardConfig = field(default_factory=RewardConfig)
    generator: GeneratorConfig | None = None
    explore: float = 0.02
    uniform: float = 0.005
    temperature: float = 0.05
    sampled: bool = False  # the softmax follows a member of the ensemble drawn for the request
    window: int = 60  # days


# Sized so that a day of the loop takes seconds. Every product of this shop is in the log from the
# first day, so ids are not dropped: the defaults are for sources whose products are mostly new.
RECIPE = Recipe(
    reward=RewardConfig(
        id_dropout=0.0,
        dispersion=1.0,
        steps=160,
        batch=8192,
        scale_interaction=PAIR,
        scale_context_element=PAIR,
    ),
    generator=GeneratorConfig(
        width=32, clone_steps=15, steps=40, batch=48, group=12, pool=384, probe=16
    ),
)


class Published:
    """Shows the policy that was published this morning; the first day's logs teach it."""

    def __init__(self, name: str, world: World, recipe: Recipe, seed: int):
        self.name, self.world, self.recipe, self.seed = name, world, recipe, seed
        self._days: list[Shown] = []
        self._policies: list[ServingPolicy] = []

    def learn(self, shown: Shown) -> None:
        """Publishes the policy of the next day."""
        self._days = [*self._days, shown][-self.recipe.window :]
        spread = np.random.SeedSequence([self.seed, len(self._days)])
        seed = int(spread.generate_state(1)[0])
        train, valid = halves(self.world, self._days, HELD, np.random.default_rng(spread))
        elements = self.world.elements
        reward = fit_reward(train, valid, elements, KINDS, self.recipe.reward, seed=seed)
        self._policies = self._published(reward, train, seed)

    def _published(self, reward: Reward, train: Bags, seed: int) -> list[ServingPolicy]:
        recipe, world, generator = self.recipe, self.world, None
        if recipe.generator is not None:
            generator, _ = fit_generator(
                train, world.elements, world.rules, reward, KINDS, recipe.generator, seed=seed
            )
        mixture = Mixture(
            explore=recipe.explore,
            uniform=recipe.uniform,
            temperature=recipe.temperature * reward.base_rate,
        )
        believed = members(reward, recipe.reward.members) if recipe.sampled else [reward]
        return [
            ServingPolicy(one, generator, world.elements, world.rules, mixture, KINDS)  # type: ignore[arg-type]
            for one in believed
        ]

    def choose(self, requests: Requests, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """(place (n,), exact propensity (n,))."""
        asked = unseen(self.world, requests)
        which = rng.integers(len(self._policies), size=len(requests.product))
        element = np.zeros_like(asked.element)
        for number, policy in enumerate(self._policies):
            rows = np.flatnonzero(which == number)
            element[rows] = policy.sample(asked.take(rows), 1, rng)[:, 0]
        shown = replace(asked, element=element)
        chance = np.mean([policy.propensity(shown) for policy in self._policies], axis=0)
        return self.world.places(requests.product, element), chance
