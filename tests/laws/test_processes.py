"""Several processes learn what one learns: the same losses, the same weights, up to rounding."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from planted import CONTEXT, Planted, halves, planted
from process_group import together
from safetensors.torch import load_file, save_file
from tabular_reward import CONTEXT as SHOP_CONTEXT
from tabular_reward import shop_of
from torch import Tensor

from model.combinations import Rules
from model.generator.config import GeneratorConfig
from model.generator.fit import fit_generator
from model.processes import ALONE, Processes
from model.reward.config import RewardConfig
from model.reward.fit import fit_reward
from model.reward.training import Learner

MANY_ROWS = RewardConfig(steps=24, batch=300, passes=1, buckets=64, members=2, id_dropout=0.3)
WHOLE_LOG = replace(MANY_ROWS, batch=10_000, interaction=2)
FUSED = replace(MANY_ROWS, id_dropout=0.0, step="fused")
GENERATOR = GeneratorConfig(
    width=16, heads=2, clone_steps=6, clone_batch=66, steps=6, batch=15, group=4, pool=64, probe=16,
    checkpoint_every=3,
)  # fmt: skip
# a softmax doesn't hear what all its keys share: noise alone moves these, Adam makes it steps
UNHEARD = ("key.bias", "mixed.bias", "memory.bias")
TOLD = ("losses", "told")
METHODS = ("gradient", "leave_one_out", "clipped")


def world(few: bool) -> Planted:
    """Six products of many rows, or many products of a few: batches then hold whole products."""
    made = planted(seed=4, rows=1200, products=60 if few else 6)
    clicks, rng = made.bags.clicks, np.random.default_rng(1)
    bought = clicks * (rng.random(len(clicks)) < 0.2)
    return replace(made, bags=replace(made.bags, conversions=bought, value=bought))


def rewards(processes: Processes, folder: Path) -> dict[str, Tensor]:
    """Weights of the reward models, and the losses of their steps."""
    found: dict[str, Tensor] = {}
    for name, few, config in (
        ("many", False, MANY_ROWS), ("few", True, MANY_ROWS), ("whole", True, WHOLE_LOG),
        ("fused", False, FUSED), ("fused_few", True, FUSED),
    ):  # fmt: skip
        made = world(few)
        losses: list[float] = []
        looked = Learner.look

        def look(learner, loss, looked=looked, losses=losses):
            losses.append(float(learner.processes.total(loss)))
            looked(learner, loss)

        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(Learner, "look", look)
            reward = fit_reward(
                *halves(made.bags), made.elements, CONTEXT, config, seed=1, processes=processes,
                checkpoint=folder / f"{name}-{processes.count}",
            )  # fmt: skip
        found |= {f"{name}.{key}": tensor for key, tensor in reward.state()[0].items()}
        found[f"{name}.losses"] = torch.tensor(losses)
    return found


def generators(processes: Processes, folder: Path) -> dict[str, Tensor]:
    """Weights of the generators, and what their last steps told."""
    shop = shop_of(5, (3, 5), seed=3, slots=3)
    bags, found = shop.bags(600, seed=4, skew=0.8), {}
    for method in METHODS:
        generator, metrics = fit_generator(
            bags, shop.elements, Rules(), shop.truth, SHOP_CONTEXT,
            replace(GENERATOR, method=method), seed=1, processes=processes,
            checkpoint=folder / f"{method}-{processes.count}",
        )  # fmt: skip
        found |= {f"{method}.{key}": tensor for key, tensor in generator.state()[0].items()}
        told = ("clone_nats", "sampled_reward", "kl_share", "entropy_share", "kl_weight")
        found[f"{method}.told"] = torch.tensor([metrics[key] for key in told])
    return found


def learned(processes: Processes, folder: str) -> None:
    """Leaves each process' weights in a file of its own."""
    found = rewards(processes, Path(folder)) | generators(processes, Path(folder))
    save_file(found, Path(folder) / f"rank{processes.rank}")


def test_two_processes_learn_what_one_learns(tmp_path: Path) -> None:
    together(2, "test_processes", "learned", str(tmp_path))
    first, second = (load_file(tmp_path / f"rank{rank}") for rank in (0, 1))
    assert all(torch.equal(first[name], second[name]) for name in first)
    alone = rewards(ALONE, tmp_path) | generators(ALONE, tmp_path)
    assert alone.keys() == first.keys()
    for name, expected in alone.items():
        if expected.numel() and not name.endswith(UNHEARD):
            moved = 1e-5 if name.endswith(TOLD) else 1e-3 if name.split(".")[0] in METHODS else 1e-4
            np.testing.assert_allclose(first[name], expected, atol=moved, rtol=moved, err_msg=name)


def test_a_part_of_every_process_is_the_whole_and_none_twice() -> None:
    for size, count in ((10, 3), (7, 7), (16384, 8), (5, 2)):
        parts = [np.arange(size)[Processes(rank, count).part(size)] for rank in range(count)]
        assert np.array_equal(np.concatenate(parts), np.arange(size))
        assert max(map(len, parts)) - min(map(len, parts)) <= 1


def test_more_processes_than_requests_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    shop = shop_of(5, (3, 5), seed=3, slots=3)
    monkeypatch.setattr(Processes, "agree", lambda self, digest: None)
    monkeypatch.setattr("model.checkpoint.found", lambda *given: None)
    with pytest.raises(ValueError, match="fewer than its 500 processes"):
        fit_generator(
            shop.bags(100, seed=4), shop.elements, Rules(), shop.truth, SHOP_CONTEXT, GENERATOR,
            seed=1, processes=Processes(0, 500),
        )  # fmt: skip
