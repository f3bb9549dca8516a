"""`python -m benchmarks.estimators`: cost of judging ten million rows, and what intervals cover.

1. Sums, health and 1,000 paired draws of every estimator for two policies over `--rows` rows,
   against one pass of numpy over the same weights for each hundred draws. A pass is: both
   policies' weights from the probabilities, multiplied with the rewards, summed per cluster.
2. The share of simulated worlds whose 95 % interval of the difference covers the truth: clusters
   drawn whole, beside single rows drawn as if they were independent.

Memory is the process' largest resident set (ru_maxrss), the log itself included.
"""

import argparse
import resource
import time

import numpy as np

from model.evaluation.logged import Logged
from model.evaluation.outcome import judge_outcome

DRAWS, PER = 1000, 100
ARMS = 6


def big_log(rows: int, slots: bool, seed: int = 0) -> Logged:
    """Single displays of users who have four each on average, two policies and a reward model."""
    rng = np.random.default_rng(seed)
    arm = rng.integers(0, 40, rows, dtype=np.int8)
    policies = rng.dirichlet(np.full(40, 1.0), 3)
    log = 0.5 / 40 + 0.5 * policies[0]
    q = rng.uniform(0.01, 0.06, 40)
    weight = rng.normal(1, 3, 40) if slots else None
    return Logged(
        reward=rng.random(rows, dtype=np.float32) < q[arm],
        displays=np.ones(rows),
        propensity=log[arm],
        pi_challenger=policies[1][arm],
        pi_incumbent=policies[2][arm],
        q_logged=q[arm],
        q_challenger=np.full(rows, q @ policies[1]),
        q_incumbent=np.full(rows, q @ policies[2]),
        cluster=rng.integers(0, rows // 4, rows, dtype=np.int32),
        slot_challenger=None if weight is None else weight[arm],
        slot_incumbent=None if weight is None else weight[::-1][arm],
        independent_challenger=None if weight is None else weight[arm],
        independent_incumbent=None if weight is None else weight[::-1][arm],
    )


def one_pass(logged: Logged) -> float:
    """Seconds of one pass over both policies' weights, to sums per cluster."""
    start, clusters = time.perf_counter(), int(logged.cluster.max()) + 1
    for pi in (logged.pi_challenger, logged.pi_incumbent):
        weight = pi / logged.propensity
        np.bincount(logged.cluster, weight * logged.reward, clusters)
        np.bincount(logged.cluster, weight * logged.displays, clusters)
    return time.perf_counter() - start


def peak() -> float:
    """GiB of the largest resident set so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def scale(rows: int, slots: bool) -> None:
    """Prints the seconds, their ratio to ten passes, and the memory."""
    logged = big_log(rows, slots)
    before = peak()
    single = min(one_pass(logged) for _ in range(3))
    start = time.perf_counter()
    outcome = judge_outcome(logged, "clicks", draws=DRAWS)
    spent = time.perf_counter() - start
    allowed = single * DRAWS / PER
    kind = "whole combinations and slots" if slots else "whole combinations"
    print(
        f"{rows:,} rows, two policies, {DRAWS:,} draws, {len(outcome.estimates)} estimators, {kind}"
    )
    print(f"  {spent:.1f} s; one pass {single:.2f} s; ratio to ten passes {spent / allowed:.2f}")
    print(f"  peak {peak():.2f} GiB, {before:.2f} GiB of it with the log made")


def clustered(rng: np.random.Generator, users: int) -> tuple[Logged, float]:
    """Displays of users who differ much and are loyal to an arm; the true difference to the log."""
    fixed = np.random.default_rng(21)
    log, pi = 0.5 / ARMS + 0.5 * fixed.dirichlet(np.full(ARMS, 2.0)), fixed.dirichlet(np.ones(ARMS))
    tastes, effect = np.linspace(-1.5, 1.5, 7), np.linspace(-0.4, 0.4, ARMS)
    rates = 1 / (1 + np.exp(3.0 - tastes[:, None] - effect))
    user = np.repeat(np.arange(users), rng.geometric(1 / 12, users))
    favourite, taste = rng.choice(ARMS, users, p=log), rng.integers(0, 7, users)
    drawn = rng.choice(ARMS, len(user), p=log)
    arm = np.where(rng.random(len(user)) < 0.8, favourite[user], drawn)
    guess = np.full(ARMS, float(rates.mean(0) @ log))
    found = Logged(
        reward=rng.random(len(user)) < rates[taste[user], arm],
        displays=np.ones(len(user)),
        propensity=log[arm],
        pi_challenger=pi[arm],
        cluster=user,
        q_logged=guess[arm],
        q_challenger=np.full(len(user), float(guess @ pi)),
    )
    return found, float(rates.mean(0) @ (pi - log))


def coverage(worlds: int, users: int) -> None:
    """Prints per estimator the share of intervals that cover, clusters beside single rows."""
    names = ("ips", "snips", "dr", "switch_dr", "dr_os")
    held = np.zeros((len(names), 2))
    for world in range(worlds):
        logged, truth = clustered(np.random.default_rng(world), users)
        alone = Logged(**(vars(logged) | {"cluster": np.arange(len(logged))}))
        for kind, one in enumerate((logged, alone)):
            found = judge_outcome(one, "clicks", draws=400, seed=world).estimates
            for e, name in enumerate(names):
                gap = found[name].difference
                held[e, kind] += gap.low <= truth <= gap.high
    print(f"coverage of 95 % intervals of the difference, {worlds} worlds of {users} users")
    print("  estimator   over users   over single rows")
    for name, (whole, single) in zip(names, held / worlds, strict=True):
        print(f"  {name:10} {whole:11.1%} {single:18.1%}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--slots", action="store_true", help="with the slots' estimators")
    parser.add_argument("--worlds", type=int, default=400)
    parser.add_argument("--users", type=int, default=300)
    asked = parser.parse_args()
    if asked.rows:
        scale(asked.rows, asked.slots)
    if asked.worlds:
        coverage(asked.worlds, asked.users)


if __name__ == "__main__":
    main()
