"""The CUDA kernels of the reward model's step, on a CPU: they do what the same step in torch does."""

import shutil
from dataclasses import replace
from typing import Any

import hopper_machine
import pytest
import torch
from torch import Tensor

from benchmarks import reward_made
from model.processes import ALONE
from model.reward.fused import plain
from model.reward.fused.hopper.records import records
from model.reward.fused.hopper.rows import SMALL, HopperRows, fits, shared
from model.reward.fused.layout import Held, held
from model.reward.fused.step import gradients_of
from model.reward.fused.told import Told
from model.reward.network import RewardNetwork

pytestmark = pytest.mark.skipif(shutil.which("g++") is None, reason="g++ is not installed")
COARSE, EVERY = 2e-3, slice(None)


def made(
    elements: int, products: int, members: int, exact: bool, monkeypatch: pytest.MonkeyPatch
) -> tuple[RewardNetwork, Held]:
    """A network, and a log of which the second product has no rows and three slots are shown."""
    monkeypatch.setattr(reward_made, "CONFIG", replace(reward_made.CONFIG, members=members))
    chance = torch.Generator().manual_seed(3)
    network = reward_made.network_of(elements, products, 3)
    with torch.no_grad():
        for weight in network.parameters():
            weight.copy_(0.3 * torch.randn(weight.shape, generator=chance))
        network.bias -= 2
    size = 400
    rows = reward_made.rows_of(size, elements, products, 3, "cpu")
    rows.batch.element[:, 3] = -1
    if not exact:
        rows.batch.context.copy_(torch.rand(rows.batch.context.shape, generator=chance))
    rows = replace(
        rows,
        displays=torch.randint(1, 4, (size,), generator=chance).float(),
        mature=(torch.rand(size, generator=chance) < 0.9).float(),
        converted=(torch.rand(size, generator=chance) < 0.9).float(),
    ).take(torch.nonzero(rows.group != 1)[:, 0])
    owner = torch.arange(elements) // (elements // products)
    return network, held(network, rows, reward_made.inputs_of(elements, 3), owner)


class Meeting:
    """Two processes in turn: what one has, the other adds when it comes."""

    count = 2

    def __init__(self) -> None:
        self.seen: list[Tensor] = []

    def add(self, flat: Tensor) -> None:
        self.seen.append(flat.clone())
        if len(self.seen) > 2:
            flat += self.seen[len(self.seen) % 2]


def learned(
    rows: plain.PlainRows | HopperRows, log: Held, network: RewardNetwork, part: slice = EVERY,
    processes: Any = ALONE,
) -> list[Tensor]:  # fmt: skip
    """Loss and gradients of nine rows in ten, or of a part of these."""
    sizes, places = log.sizes, torch.arange(len(log.group))
    order = places[places % 10 > 0].int()[part].contiguous()
    products = torch.arange(sizes.products + 1, dtype=torch.int32)
    rows.hold(torch.searchsorted(log.group[order.long()], products, out_int32=True))
    _, to = gradients_of(network)
    told, loss = Told(network, log, to), torch.full((), torch.nan)
    rows.tell(told)
    chance = torch.Generator().manual_seed(4)
    table = torch.zeros(sizes.elements, sizes.columns)
    table[:, : sizes.width] = 0.3 * torch.randn(sizes.elements, sizes.width, generator=chance)
    slope, asked = torch.zeros_like(table), plain.Asked(0.5, True, 0.3)
    rows.learn(table, told, order, asked, slope, loss, processes)
    return [loss, slope] + [to[name] for name in ("bias", "product", "context", "mixing")]


@pytest.mark.parametrize(
    ("elements", "members", "exact", "processors"),
    [
        (160, 5, True, 1),
        (160, 5, True, 3),  # most products' rows are several programs'
        (280, 3, False, 2),  # sums of two tiles, contexts as two numbers
        (320, 5, True, 2),  # sums that leave room for two finders
        (80, 1, True, 1),
    ],
)
def test_the_kernels_do_what_torch_does(
    elements: int, members: int, exact: bool, processors: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    network, log = made(elements, 4, members, exact, monkeypatch)
    assert fits(log)
    assert log.exact == exact
    expected = learned(plain.PlainRows(log), log, network)
    kernels = HopperRows(log, processors, False, hopper_machine.machine)
    assert kernels.shared <= shared(log) <= kernels.shared + SMALL
    found, again = (learned(kernels, log, network) for _ in range(2))
    for one, other, same in zip(found, expected, again, strict=True):
        off = (one - other).norm() / other.norm()
        print(float(off))
        assert off < COARSE
        assert torch.equal(one, same)


def test_what_does_not_fit_is_left_to_other_kernels(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not fits(made(80, 4, 8, True, monkeypatch)[1])  # 8 members: more columns than a product
    assert not fits(made(512, 4, 5, True, monkeypatch)[1])  # more sums than registers
    assert fits(made(512, 4, 1, True, monkeypatch)[1])


def test_two_processes_learn_what_one_does(monkeypatch: pytest.MonkeyPatch) -> None:
    network, log = made(160, 4, 3, True, monkeypatch)
    expected = learned(plain.PlainRows(log), log, network)
    kernels, meeting = HopperRows(log, 2, True, hopper_machine.machine), Meeting()
    halves = [slice(0, 150), slice(150, None)]
    for _ in range(2):  # the first time none knows the other's masses
        found = [learned(kernels, log, network, part, meeting) for part in halves]
    for one, other, whole in zip(*found, expected, strict=True):
        assert (one + other - whole).norm() / whole.norm() < COARSE


def test_a_record_holds_a_row_in_whole_words(monkeypatch: pytest.MonkeyPatch) -> None:
    _, log = made(80, 4, 2, False, monkeypatch)
    told = records(log)
    assert told.shape == (len(log.group), 48 + 96)
    numbers = told[:, :28].contiguous().view(torch.float32)
    assert torch.equal(numbers[:, 0], log.clicks)
    assert torch.equal(numbers[:, 5:], log.weight)
    contexts = told[:, 48:].contiguous().view(torch.bfloat16).float()
    whole = contexts[:, :24] + contexts[:, 24:]
    assert torch.allclose(whole, log.context, atol=1e-4)
