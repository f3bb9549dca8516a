"""How fast the generator trains on one GPU, against its floor: `python3 -m benchmarks.generator_gpu`.

Torch and model/ alone. Checks every version against float64 on the CPU first, then times them on
B contexts of B different products (no encoding is shared), 4 slots x 16 candidates: candidates
with 64 dense columns and an identity each, no hashed text; rules of 64 kinds (allow-lists,
forbidden pairs, an optional slot). Prints the two measured ceilings, each version's contexts,
combinations and operations a second, its share of the floor, its peak memory, what takes the
time, and illegal combinations among 10 million samples.
"""

import argparse
import copy
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from benchmarks.device_times import ceilings, milliseconds, profiled
from model.generator import decode
from model.generator.config import GeneratorConfig
from model.generator.encoding import Inputs
from model.generator.fused.policy import Paths, Requests
from model.generator.fused.step import How, Step
from model.generator.hints import Caution
from model.generator.network import Network, Places, Sizes
from model.generator.objective import Signal, policy_step
from model.reward.pieces import Pieces, Scale

SLOTS, OPTIONS, DENSE, CONTEXT = 4, 16, 64, 32
IDENTITIES, PRODUCTS, RULES = 4096, 4096, 64
CAUTION = Caution(1.0, 0.4)


@dataclass(frozen=True, eq=False)
class World:
    """Requests, and the rules they walk, as tables that the walk does not use."""

    requests: Requests
    rule: Tensor  # (B,)
    open: Tensor  # (rules, S, K + 1) bool, option 0 = absent
    apart: Tensor  # (rules, S, K + 1, S, K + 1) bool, True = never together

    def to(self, device: str, kind: torch.dtype = torch.float32) -> "World":
        """The same requests elsewhere, floating numbers as `kind`."""

        def moved(part: Tensor) -> Tensor:
            return part.to(device, kind) if part.is_floating_point() else part.to(device)

        old = self.requests
        plain = {n: moved(t) for n, t in vars(old).items() if isinstance(t, Tensor)}
        paths = Paths(moved(old.paths.step), moved(old.paths.start), old.paths.slots)
        known = old.pieces
        scale = Scale(known.scale.slope, known.scale.shift, "value", moved(known.scale.worth))
        pieces = Pieces(moved(known.base), moved(known.unary), moved(known.factor), scale)
        rules = (moved(self.rule), moved(self.open), moved(self.apart))
        return World(Requests(**plain, paths=paths, pieces=pieces), *rules)

    def legal(self, options: Tensor) -> Tensor:
        """(B, G) bool by the tables, for (B, G, S) options."""
        rule, slots = self.rule[:, None], options.shape[2]
        fine = torch.ones_like(options[..., 0], dtype=torch.bool)
        for a in range(slots):
            fine &= self.open[rule, a, options[..., a]]
            for b in range(a + 1, slots):
                fine &= ~self.apart[rule, a, options[..., a], b, options[..., b]]
        return fine & (options > 0).any(-1)


def automaton(open_: Tensor, apart: Tensor) -> tuple[list[list[int]], list[float]]:
    """(step, ways) of one rule: a node is the options of later slots that are still open."""
    slots, wide = open_.shape
    made: dict[tuple[int, bytes], int] = {}
    step: list[list[int]] = []
    ways: list[float] = []

    def node(slot: int, left: Tensor, shown: bool) -> int:
        key = (slot, left[slot:].numpy().tobytes() + bytes([shown]))
        if key in made:
            return made[key]
        row, count = [-1] * wide, 0.0
        for option in range(wide):
            if not left[slot, option] or (slot == slots - 1 and not shown and option == 0):
                continue
            there = -2 if slot == slots - 1 else -1
            if there == -1:
                there = node(slot + 1, left & ~apart[slot, option], shown or option > 0)
            if there == -2 or ways[there] > 0:
                row[option], count = there, count + (1.0 if there == -2 else ways[there])
        made[key] = len(step)
        step.append(row)
        ways.append(count)
        return made[key]

    node(0, open_, False)
    return step, ways


def rules_of(count: int, chance: torch.Generator) -> tuple[Tensor, Tensor, Paths, Tensor]:
    """(open, apart, automata of all rules, log of each rule's number of combinations)."""
    wide = OPTIONS + 1
    opened = torch.rand(count, SLOTS, wide, generator=chance) < 0.9
    opened[:, :, 0] = False
    opened[::2, 3, 0] = True  # the last slot is optional under every second rule
    opened[:, :, 1] = True
    apart = torch.zeros(count, SLOTS, wide, SLOTS, wide, dtype=torch.bool)
    for rule in range(count):
        for _ in range(12):
            a, b = torch.randperm(SLOTS, generator=chance)[:2].sort().values.tolist()
            i, j = (torch.randint(2, wide, (2,), generator=chance)).tolist()
            apart[rule, a, i, b, j] = True
    steps, starts, logs = [], [], []
    for rule in range(count):
        own, ways = automaton(opened[rule], apart[rule])
        first = len(steps)
        steps += [[-1 if t == -1 else (-2 if t == -2 else t + first) for t in row] for row in own]
        starts.append(first + len(own) - 1)
        logs.append(ways[-1])
    table = torch.tensor(steps)
    table = torch.where(table == -2, len(steps), table)
    table = torch.cat([table, torch.full((1, wide), -1)])
    return opened, apart, Paths(table, torch.tensor(starts), SLOTS), torch.tensor(logs).log()


def world_of(size: int, seed: int) -> World:
    """`size` requests on the CPU, float32."""
    chance = torch.Generator().manual_seed(seed)
    opened, apart, paths, logs = rules_of(RULES, chance)
    rule = torch.randint(RULES, (size,), generator=chance)
    cards = SLOTS * OPTIONS

    def normal(*shape: int, scale: float = 1.0) -> Tensor:
        return scale * torch.randn(*shape, generator=chance)

    unary = normal(size, SLOTS, OPTIONS, 4, 2, scale=0.4)
    unary = unary.mean(3, keepdim=True) + 0.3 * unary
    pieces = Pieces(
        normal(size, 4, 2, scale=0.1) - 2.0,
        unary,
        normal(size, SLOTS, OPTIONS, 4, 6, scale=0.2),
        Scale(1.0, 0.0, "value", torch.rand(size, generator=chance) + 0.5),
    )
    requests = Requests(
        dense=normal(size, cards, DENSE),
        identity=torch.randint(IDENTITIES + 1, (size, cards), generator=chance),
        present=torch.ones(size, cards, dtype=torch.bool),
        product=torch.randint(PRODUCTS + 1, (size,), generator=chance),
        context=normal(size, CONTEXT),
        hint=torch.cat([torch.zeros(size, SLOTS, 1), normal(size, SLOTS, OPTIONS, scale=0.1)], 2),
        paths=Paths(paths.step, paths.start[rule], SLOTS),
        log_count=logs[rule],
        pieces=pieces,
        tokens=torch.zeros(size, cards, 0, dtype=torch.int64),
        known=torch.ones(size, SLOTS, OPTIONS + 1, dtype=torch.bool),
        new=torch.zeros(size, dtype=torch.bool),
        hidden=torch.zeros(size, cards, dtype=torch.bool),
    )
    return World(requests, rule, opened, apart)


def networks(width: int, layers: int, seed: int) -> tuple[Network, Network]:
    """(policy, its clone): close to each other, no weight at its initial 0."""
    torch.manual_seed(seed)
    sizes = Sizes(DENSE, CONTEXT, SLOTS, 16, IDENTITIES, PRODUCTS, width, 4, layers)
    clone = Network(sizes)
    for parameter in (clone.absent, clone.slot, clone.hint):
        torch.nn.init.normal_(parameter, std=0.1)
    policy = copy.deepcopy(clone)
    with torch.no_grad():
        for parameter in policy.parameters():
            parameter.add_(0.02 * torch.randn_like(parameter))
    return policy, clone.requires_grad_(False)


class Plain:
    """The production network's own code, as fit.py runs it: the baseline."""

    def __init__(self, world: World, config: GeneratorConfig, autocast: bool):
        asked, self.config, self.autocast = world.requests, config, autocast
        size = len(asked.identity)
        device = asked.dense.device
        every = asked.present.flatten().nonzero()[:, 0]
        dense, identity = asked.dense.flatten(0, 1)[every], asked.identity.flatten()[every]
        self.inputs = Inputs(dense, identity.new_zeros(len(every), 0), identity)
        self.places = Places(every, every, asked.present, SLOTS, OPTIONS)
        self.asked, self.rows = asked, torch.arange(size, device=device)

    def walk(self, network: Network, choice: decode.Choice) -> decode.Walk:
        asked = self.asked
        encoded = network.encode(self.inputs, self.places, asked.product)
        pointer = decode.Pointer(
            network, encoded, self.rows, asked.context, asked.hint, self.config.group
        )
        return decode.walk(pointer, asked.paths, self.rows, self.config.group, choice)  # pyright: ignore

    def loss(
        self, network: Network, clone: Network, choice: decode.Choice
    ) -> tuple[Tensor, decode.Walk]:
        asked = self.asked
        kind = asked.dense.device.type
        with torch.autocast(kind, torch.bfloat16, enabled=self.autocast):
            walk = self.walk(network, choice)
            with torch.no_grad():
                held = self.walk(clone, decode.given(walk.options))
        with torch.no_grad():
            mean, spread = asked.pieces.score(walk.options - 1)
            signal = Signal(CAUTION.reward(mean, spread), CAUTION.supported(mean, spread))
        step = policy_step(walk, held, signal, asked.log_count, self.config)
        return step.loss, walk


class PlainStep:
    """Baseline: eager, or the same compiled."""

    def __init__(
        self, policy: Network, clone: Network, world: World, config: GeneratorConfig, compiled: bool
    ):
        self.network, self.clone, self.config = policy, clone, config
        asked, device = world.requests, world.requests.dense.device
        self.plain = Plain(world, config, autocast=True)
        self.uniform = torch.rand(len(asked.dense), config.group, SLOTS, device=device)
        self.optimiser = torch.optim.AdamW(policy.parameters(), lr=config.learning_rate, fused=True)
        self._loss = torch.compile(self._judged) if compiled else self._judged

    def _judged(self) -> tuple[Tensor, Tensor]:
        choice = decode.drawn(self.uniform)
        loss, walk = self.plain.loss(self.network, self.clone, choice)
        return loss, walk.options

    def gradients(self) -> tuple[Tensor, Tensor]:
        self.optimiser.zero_grad()
        loss, options = self._loss()
        loss.backward()
        return loss, options

    def run(self) -> None:
        self.gradients()
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), self.config.gradient_clip)
        self.optimiser.step()


def off(found: Tensor, truth: Tensor) -> float:
    """||found - truth|| / ||truth||."""
    found, truth = found.detach().double().cpu(), truth.detach().double()
    return float((found - truth).norm() / truth.norm().clamp(min=1e-30))


def gradient_of(network: Network) -> dict[str, Tensor]:
    return {n: p.grad.detach().clone() for n, p in network.named_parameters() if p.grad is not None}


def checked(
    size: int, width: int, layers: int, device: str, ways: dict[str, How], seed: int
) -> None:
    """Every version at its own samples, against float64 on the CPU at the same samples."""
    config = GeneratorConfig(width=width, layers=layers, group=16)
    world = world_of(size, seed)
    asked = world.requests
    there = world.open[world.rule][:, :, 1:].flatten(1)
    asked.present[::2] = there[::2]  # of every second product, what no rule opens is missing
    for key, how in ways.items():
        policy, clone = networks(width, layers, seed)
        step = Step(
            copy.deepcopy(policy).to(device), copy.deepcopy(clone).to(device),
            world.to(device).requests, CAUTION, config, how,
        )  # fmt: skip
        told = step.gradients()
        exact, held = policy.double(), clone.double()
        plain = Plain(world.to("cpu", torch.float64), config, autocast=False)
        choice = decode.given(told.options.cpu())
        loss, walk = plain.loss(exact, held, choice)
        loss.backward()
        own, truth = gradient_of(step.network), gradient_of(exact)
        errors = {n: off(own[n], truth[n]) for n in truth}
        whole = off(
            torch.cat([own[n].flatten() for n in truth]),
            torch.cat([truth[n].flatten() for n in truth]),
        )
        worst = max((n for n in errors if "bias" not in n), key=lambda n: errors[n])
        share = float((loss - told.loss.cpu()).abs() / loss.abs())
        print(
            f"check {key:24s} log-prob {off(told.log_prob, walk.log_prob):.1e}  loss {share:.1e}  "
            f"gradient {whole:.1e}  worst weight {worst} {errors[worst]:.1e}", flush=True
        )  # fmt: skip


def operations(width: int, layers: int, groups: int) -> float:
    """Floating-point operations that one trained context needs at least (2 a multiply-add).

    Forward once for the clone, forward and twice that backward for the policy; attention, encoder,
    readout and pointers with keys folded into queries.
    """
    cards, tokens, d = SLOTS * OPTIONS, SLOTS * OPTIONS + 1, width
    first = cards * (DENSE * d + d * d)
    blocks = layers * (8 * tokens * d * d + 2 * tokens * tokens * d)
    read = CONTEXT * d + 5 * d * d + 8 * tokens * d
    point = SLOTS * groups * (d * d + OPTIONS * d)
    chosen = (SLOTS - 1) * groups * (d * d + OPTIONS * d)
    return 2.0 * 4.0 * (first + blocks + read + point + chosen)


def timed(name: str, make: Callable[[], "Step | PlainStep"], size: int, floor: float) -> None:
    """Prints one version's line; a version that does not run says why and the rest go on."""
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    began = time.perf_counter()
    try:
        step = make()
        step.run()
        torch.cuda.synchronize()
        ready = time.perf_counter() - began
        first, again = milliseconds(step.run), milliseconds(step.run)
    except Exception as error:
        print(f"time  {name:26s} B {size}: {type(error).__name__}: {str(error)[:600]}", flush=True)
        return
    rate = size / min(first, again) * 1e3
    work = operations(128, 2, 16)
    print(
        f"time  {name:26s} B {size:6d}  {first:8.2f} ms, again {again:8.2f}  "
        f"{rate:10,.0f} contexts/s  {16 * rate:12,.0f} combinations/s  "
        f"{rate * work / 1e12:6.1f} TFLOP/s  {rate / floor:6.1%} of the floor  peak "
        f"{torch.cuda.max_memory_allocated() / 2**30:5.1f} GiB  (ready in {ready:.0f} s)",
        flush=True,
    )


def illegal(world: World, step: Step, samples: int) -> None:
    """Prints how many of at least `samples` sampled combinations break a rule, by the tables."""
    wrong, drawn = torch.zeros((), dtype=torch.int64, device="cuda"), 0
    while drawn < samples:
        step.uniform.uniform_()
        options = step.run().options
        wrong += (~world.legal(options)).sum()
        drawn += options[..., 0].numel()
    print(f"legal {int(wrong)} illegal combinations among {drawn:,} samples", flush=True)


FAST = How(torch.bfloat16, kernels=True, compiled=True, graph=True)
VERSIONS = {
    "bf16 eager": How(torch.bfloat16),
    "bf16 kernels": How(torch.bfloat16, kernels=True),
    "bf16 compiled": How(torch.bfloat16, compiled=True),
    "bf16 kernels compiled": How(torch.bfloat16, kernels=True, compiled=True),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--batch", type=int, default=16384)
    parser.add_argument("--plain-batch", type=int, default=8192)
    parser.add_argument("--samples", type=int, default=10_000_000)
    parser.add_argument("--only-fast", action="store_true", help="leave the baselines out")
    asked = parser.parse_args()
    torch.backends.cuda.matmul.allow_bf16_reduced_precision_reduction = True
    print(f"{torch.cuda.get_device_name()}, torch {torch.__version__}")
    rate, bandwidth = ceilings()
    work = operations(128, 2, 16)
    floor = rate / work
    print(
        f"ceilings: {rate / 1e12:.0f} TFLOP/s bf16 matmul, {bandwidth / 1e12:.2f} TB/s copy; "
        f"{work / 1e6:.0f} MFLOP a context: floor {floor:,.0f} contexts/s", flush=True
    )  # fmt: skip
    chosen = {k: v for k, v in VERSIONS.items() if not asked.only_fast or v.kernels}
    checked(96, 128, 2, "cuda", chosen, seed=int(time.time()) % 1000)
    timing(asked, floor)


def timing(asked: argparse.Namespace, floor: float) -> None:
    config = GeneratorConfig(width=128, layers=2, group=16)

    def pair() -> tuple[Network, Network]:
        policy, clone = networks(128, 2, 0)
        return policy.cuda(), clone.cuda()

    size = asked.plain_batch
    world = world_of(size, 5).to("cuda")
    if not asked.only_fast:
        timed("plain eager", lambda: PlainStep(*pair(), world, config, False), size, floor)
        timed("plain compiled", lambda: PlainStep(*pair(), world, config, True), size, floor)
        how = How(torch.bfloat16, compiled=True, graph=True)
        timed("folded, compiled, graph",
              lambda: Step(*pair(), world.requests, CAUTION, config, how), size, floor)  # fmt: skip
    made: list[Step] = []

    def fast(requests: Requests) -> Step:
        low = replace(requests, dense=requests.dense.to(FAST.kind))
        made[:] = [Step(*pair(), low, CAUTION, config, FAST)]
        return made[0]

    if size != asked.batch:
        del world
        world = world_of(asked.batch, 6).to("cuda")
    timed("fast", lambda: fast(world.requests), asked.batch, floor)
    profiled(made[0], rows=34)
    illegal(world, made[0], asked.samples)


if __name__ == "__main__":
    main()
