"""GenCO in the loop: each day's displays train the next day's published policy.

The day calls the two trainings and the serving policy directly instead of all ten stages, so that
a hundred days take minutes. Nothing else differs: the propensities are the published ones.
"""

from dataclasses import dataclass, field, replace

import numpy as np

from examples.loop.bags import halves, unseen
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
    sampled: float = 0.5
    deviation: float = 0.3
    temperature: float = 0.02
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
        self._policy: ServingPolicy | None = None

    def learn(self, shown: Shown) -> None:
        """Publishes the policy of the next day."""
        self._days = [*self._days, shown][-self.recipe.window :]
        spread = np.random.SeedSequence([self.seed, len(self._days)])
        seed = int(spread.generate_state(1)[0])
        train, valid = halves(self.world, self._days, HELD, np.random.default_rng(spread))
        elements = self.world.elements
        reward = fit_reward(train, valid, elements, KINDS, self.recipe.reward, seed=seed)
        self._policy = self._published(reward, train, seed)

    def _published(self, reward: Reward, train: Bags, seed: int) -> ServingPolicy:
        recipe, world, generator = self.recipe, self.world, None
        if recipe.generator is not None:
            generator, _ = fit_generator(
                train, world.elements, world.rules, reward, KINDS, recipe.generator, seed=seed
            )
        mixture = Mixture(
            explore=recipe.explore,
            uniform=recipe.uniform,
            sampled=recipe.sampled,
            deviation=recipe.deviation,
            temperature=recipe.temperature * reward.base_rate,
        )
        return ServingPolicy(reward, generator, world.elements, world.rules, mixture, KINDS)

    def choose(self, requests: Requests, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """(place (n,), exact propensity (n,))."""
        assert self._policy is not None, "the first day's logs come before the first choice"
        asked = unseen(self.world, requests)
        element = self._policy.sample(asked, 1, rng)[:, 0]
        chance = self._policy.propensity(replace(asked, element=element))
        return self.world.places(requests.product, element), chance
