"""A shop small enough to know everything of: products, slots, elements, contexts, users.

A request is a product in a context (device and segment, one of G); it is answered by one of A
combinations. The click rate is the exponential of base + product + context + elements + pairs +
elements in contexts, times the placement's factor, times the user's own factor (mean 1, gamma),
so users differ much more than binomial chance. A user comes back to one product and mostly sees
the combination drawn for them there again, as sticky ad servers do: displays of a user are not
independent, though the propensity of each, given its request, is exact.
"""

from dataclasses import dataclass

import numpy as np

PRODUCTS, SLOTS, ELEMENTS, DEVICES, SEGMENTS = 24, 3, 4, 3, 3
CONTEXTS = DEVICES * SEGMENTS
REQUESTS = PRODUCTS * CONTEXTS
COMBINATIONS = ELEMENTS**SLOTS
PLACEMENT = np.array([1.3, 1.0, 0.7])
BASE = 0.022
SPREAD = {"product": 0.4, "context": 0.2, "element": 0.17, "pair": 0.04, "crossed": 0.04}
DISPLAYS_A_USER = 12.0
USER_SHAPE = 1.0
FAVOURITE, STICKY = 0.8, 0.9
CHOICE = np.array(
    [[c // ELEMENTS**s % ELEMENTS for s in range(SLOTS)] for c in range(COMBINATIONS)]
)


@dataclass(frozen=True)
class World:
    """rate (G, A): true click rates of an average user; weight (G,): how common a request is."""

    rate: np.ndarray
    weight: np.ndarray

    def value(self, policy: np.ndarray) -> float:
        """True clicks per display of a policy (G, A)."""
        return float(self.weight @ (policy * self.rate).sum(1))


@dataclass(frozen=True)
class Log:
    """Displays, one a row, all (n,): request, combination, user, placement, click."""

    request: np.ndarray
    combination: np.ndarray
    user: np.ndarray
    placement: np.ndarray
    click: np.ndarray

    def __add__(self, other: "Log") -> "Log":
        return Log(*(np.concatenate(pair) for pair in zip(vars(self).values(), vars(other).values(), strict=True)))  # fmt: skip


@dataclass(frozen=True)
class Counts:
    """Displays and clicks (G, A): what a reward model learns from."""

    displays: np.ndarray
    clicks: np.ndarray


def make_world(rng: np.random.Generator) -> World:
    """A world drawn at random."""

    def spread(name: str, *shape: int) -> np.ndarray:
        return SPREAD[name] * rng.normal(size=shape)

    own = spread("element", PRODUCTS, SLOTS, ELEMENTS)
    effect = np.sum([own[:, s, CHOICE[:, s]] for s in range(SLOTS)], axis=0)
    for s in range(SLOTS):
        for t in range(s):
            pair = spread("pair", PRODUCTS, ELEMENTS, ELEMENTS)
            effect = effect + pair[:, CHOICE[:, s], CHOICE[:, t]]
    crossed = spread("crossed", PRODUCTS, CONTEXTS, SLOTS, ELEMENTS)
    varied = np.sum([crossed[:, :, s, CHOICE[:, s]] for s in range(SLOTS)], axis=0)
    level = spread("product", PRODUCTS, 1, 1) + spread("context", 1, CONTEXTS, 1)
    log_rate = np.log(BASE) + level + effect[:, None, :] + varied
    rate = np.minimum(np.exp(log_rate), 0.12).reshape(REQUESTS, COMBINATIONS)
    popular = rng.dirichlet(np.full(PRODUCTS, 4.0))
    common = rng.dirichlet(np.full(CONTEXTS, 20.0))
    return World(rate, np.outer(popular, common).ravel())


def draw_log(world: World, policy: np.ndarray, rows: int, rng: np.random.Generator) -> Log:
    """About `rows` displays that the policy (G, A) chose, for new users."""
    users = max(round(rows / DISPLAYS_A_USER), 2)
    times = rng.geometric(1 / DISPLAYS_A_USER, users)
    user = np.repeat(np.arange(users), times)
    home = rng.choice(REQUESTS, users, p=world.weight)
    popular = world.weight.reshape(PRODUCTS, CONTEXTS).sum(1)
    strays = rng.random(len(user)) >= FAVOURITE
    product = np.where(strays, rng.choice(PRODUCTS, len(user), p=popular), home[user] // CONTEXTS)
    request = product * CONTEXTS + home[user] % CONTEXTS
    kept = draw(policy, home, rng)
    sticky = (request == home[user]) & (rng.random(len(user)) < STICKY)
    combination = np.where(sticky, kept[user], draw(policy, request, rng))
    placement = rng.integers(0, len(PLACEMENT), len(user))
    factor = rng.gamma(USER_SHAPE, 1 / USER_SHAPE, users)[user] * PLACEMENT[placement]
    click = rng.random(len(user)) < world.rate[request, combination] * factor
    return Log(request, combination, user, placement, click.astype(np.float64))


def draw(policy: np.ndarray, request: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(n,) a combination for each request, by the policy (G, A)."""
    edges = policy.cumsum(1)
    edges = edges / edges[:, -1:] + np.arange(len(policy))[:, None]
    found = np.searchsorted(edges.ravel(), request + rng.random(len(request)), side="right")
    return np.minimum(found - request * policy.shape[1], policy.shape[1] - 1)


def draw_counts(
    world: World, policy: np.ndarray, rows: int, rng: np.random.Generator, rate: np.ndarray | None = None
) -> Counts:  # fmt: skip
    """Displays and clicks of `rows` displays, without their users."""
    share = (world.weight[:, None] * policy).ravel()
    displays = rng.multinomial(rows, share / share.sum()).reshape(policy.shape)
    clicks = rng.binomial(displays, world.rate if rate is None else rate)
    return Counts(displays.astype(np.float64), clicks.astype(np.float64))


def counts_of(log: Log, rows: np.ndarray) -> Counts:
    """The counts of some rows of a log."""
    cell = log.request[rows] * COMBINATIONS + log.combination[rows]
    size, shape = REQUESTS * COMBINATIONS, (REQUESTS, COMBINATIONS)
    displays = np.bincount(cell, minlength=size).astype(np.float64)
    clicks = np.bincount(cell, weights=log.click[rows], minlength=size)
    return Counts(displays.reshape(shape), clicks.reshape(shape))
