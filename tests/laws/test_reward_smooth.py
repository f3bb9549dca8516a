"""The smooth term of given embeddings: a kernel, and what a linear term cannot learn."""

import numpy as np
import pyarrow as pa
import torch

from model.bags import read_bags
from model.elements import Elements
from model.reward.fit import Reward, RewardConfig, fit_reward
from model.reward.smooth import STEEPNESS, fit_landmarks, squared_distances

SLOTS = ("title",)


def test_features_on_all_points_are_the_kernel_up_to_centring() -> None:
    given = np.random.default_rng(0).normal(size=(60, 5))
    marks = fit_landmarks(given, 100)
    assert marks is not None
    raw = marks.features(given).astype(np.float64) + marks.mean
    apart = squared_distances(given, given)
    middle = np.median(apart[np.triu_indices(60, 1)])
    assert np.allclose(raw @ raw.T, np.exp(-STEEPNESS * apart / middle), atol=2e-3)
    assert np.allclose(marks.features(given).mean(0), 0, atol=1e-5)


def test_embeddings_that_do_not_differ_have_no_landmarks() -> None:
    assert fit_landmarks(np.ones((30, 4)), 10) is None


def ring(products: int, seed: int) -> tuple[Elements, pa.Table]:
    """Titles on a plane: those near the unit circle earn three times the others."""
    rng = np.random.default_rng(seed)
    count = products * 6
    angle, far = rng.uniform(0, 2 * np.pi, count), rng.choice([0.2, 1.0, 1.8], count)
    place = np.stack([far * np.cos(angle), far * np.sin(angle)], 1)
    product = [f"p{seed}-{i // 6}" for i in range(count)]
    elements = pa.table(
        {
            "product_id": product,
            "slot": ["title"] * count,
            "element_id": [f"e{i}" for i in range(count)],
            "embedding": pa.array(place.tolist(), pa.list_(pa.float32())),
        }
    )
    rate = np.where(far == 1.0, 0.06, 0.02)
    bags = pa.table(
        {
            "product_id": product,
            "context": ["{}"] * count,
            "creative": pa.array(
                [[("title", f"e{i}")] for i in range(count)], pa.map_(pa.string(), pa.string())
            ),
            "impressions": [2000] * count,
            "clicks": rng.binomial(2000, rate),
        }
    )
    return Elements.from_table(elements, SLOTS), bags


def learned(landmarks: int) -> float:
    """Share of pairs of a new product's titles that are ranked as the truth ranks them."""
    elements, table = ring(60, 0)
    new, asked = ring(40, 1)
    bags = read_bags(table, elements, {})
    tuning = np.arange(len(bags)) % 60 < 6
    config = RewardConfig(landmarks=landmarks, members=2, steps=120)
    reward = fit_reward(
        bags.take(np.flatnonzero(~tuning)),
        bags.take(np.flatnonzero(tuning)),
        elements,
        {},
        config,
        seed=0,
    )
    tensors, described = reward.state()
    again = Reward.from_state(tensors, described)
    judged = read_bags(asked, new, {})
    click = reward.predict(judged, new).click
    assert np.array_equal(again.predict(judged, new).click, click)
    good = asked["clicks"].to_numpy() / 2000 > 0.04
    return float((click[good][:, None] > click[~good][None]).mean())


def test_a_ring_is_learned_with_landmarks_and_not_without() -> None:
    torch.set_num_threads(1)
    assert learned(200) > 0.9
    assert learned(0) < 0.7
