"""The generator between two steps of its training: it clones the log, then follows the reward."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from model import checkpoint as disk
from model.generator import decode
from model.generator.batches import Batches
from model.generator.behaviour import clone_loss
from model.generator.config import GeneratorConfig
from model.generator.fused.feed import Feed
from model.generator.fused.step import Step, best_here
from model.generator.ground import Ground
from model.generator.network import Network, Sizes
from model.generator.objective import PolicyStep, Signal, held_by, policy_step
from model.generator.policy import Hide, new_network
from model.processes import ALONE, Processes
from model.reward.pieces import Pieces


@dataclass(frozen=True, eq=False)
class Prompt:
    """B requests on the device, but for the products' positions: what a process has of a batch."""

    product: np.ndarray  # (B,) int64
    context: Tensor  # (B, C)
    hint: Tensor  # (B, S, K + 1)
    hide: Hide  # of the distinct products, in order of their positions
    share: float  # of the batch


class Learner:
    """The network between two steps; the first `clone_steps` of them clone, the rest reinforce."""

    def __init__(
        self,
        ground: Ground,
        config: GeneratorConfig,
        seed: int,
        device: str,
        processes: Processes = ALONE,
    ):
        self.processes = processes
        self.ground, self.config, self.device = ground, config, device
        self.batches = Batches(ground, config, seed, device, processes)
        sizes = Sizes.of(ground.encoding, config.width, config.heads, config.layers)
        self.network = new_network(sizes, seed).to(device)
        self.reference = new_network(sizes, seed).to(device).requires_grad_(False)
        self.optimiser = self._fresh_optimiser()
        self.done = 0
        self.fused: tuple[Feed, Step] | None = None
        self.bad = torch.zeros((), device=device)
        self.trace = torch.zeros(5, device=device)

    def _fresh_optimiser(self) -> torch.optim.AdamW:
        return torch.optim.AdamW(
            self.network.parameters(),
            lr=self.config.learning_rate,
            weight_decay=self.config.weight_decay,
        )

    def advance(self) -> None:
        """One step: the next one of the phase that it belongs to."""
        cloning = self.done < self.config.clone_steps
        if self.done == self.config.clone_steps:
            self.reference.load_state_dict(self.network.state_dict())
            self._reinforcement()
        at, span = (
            (self.done, self.config.clone_steps)
            if cloning
            else (self.done - self.config.clone_steps, self.config.steps)
        )
        share = 0.5 * (1 + math.cos(math.pi * at / span))
        rate = self.config.learning_rate * (0.05 + 0.95 * share)
        if self.fused is not None:
            self._run(*self.fused, rate)
            self.done += 1
            return
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        for loss in [self._clone()] if cloning else self._reinforce():
            self.optimiser.zero_grad()
            loss.backward()
            self.processes.add_gradients(self.network.parameters())
            torch.nn.utils.clip_grad_norm_(self.network.parameters(), self.config.gradient_clip)
            self.optimiser.step()
        self.done += 1

    def _reinforcement(self) -> None:
        """The optimiser of the second phase, and its step with static shapes where that is used."""
        self.optimiser = self._fresh_optimiser()
        if not self._fuses():
            return
        size = self.batches.size()
        own = self.batches.part(size)
        feed = Feed(self.ground, own.stop - own.start)
        asked = feed.requests
        parts = (self.network, self.reference, asked, self.ground.pool.caution, self.config)
        share = len(asked.dense) / size
        step = Step(*parts, best_here(self.network, asked), self.processes, share)
        self.fused, self.optimiser = (feed, step), step.optimiser

    def _fuses(self) -> bool:
        """`auto` needs a GPU, triton, and a method that learns once from a batch."""
        if self.config.step != "auto":
            return self.config.step == "fused"
        on_gpu = torch.device(self.device).type == "cuda" and find_spec("triton") is not None
        scored = isinstance(self.ground.pool.pieces, Pieces)
        return on_gpu and scored and self.config.method != "clipped"

    def _run(self, feed: Feed, step: Step, rate: float) -> None:
        """One step with static shapes."""
        draw = self.batches.drawn(self.done)
        feed.fill(draw.at, draw.hide)
        step.uniform.copy_(draw.uniform)
        step.rate(rate)
        told = step.run()
        self.bad += told.bad
        self.trace[1:] = told.figures

    def _pointer(
        self, network: Network, prompt: Prompt, groups: int, hides: bool
    ) -> decode.Pointer:
        products, which = np.unique(prompt.product, return_inverse=True)
        encoded = self.ground.shelf.encode(network, products, prompt.hide if hides else None)
        at = torch.from_numpy(which).to(self.device)
        return decode.Pointer(network, encoded, at, prompt.context, prompt.hint, groups)

    def _autocast(self) -> torch.autocast:
        kind = self.device.split(":")[0]
        return torch.autocast(kind, torch.bfloat16, enabled=kind == "cuda")

    def _clone(self) -> Tensor:
        """Loss of one batch of logged combinations; the clone takes no hints."""
        drawn, shown, lattice = (
            self.batches.logged(self.done),
            self.ground.shown,
            self.ground.lattice,
        )
        at = drawn.at
        context = shown.context[at].to(self.device)
        hint = context.new_zeros(len(at), lattice.slots, lattice.step.shape[1])
        options = shown.combinations[at][:, None].to(self.device) + 1
        which = torch.from_numpy(shown.product[at]).to(self.device)
        with self._autocast():
            prompt = Prompt(shown.product[at], context, hint, drawn.hide, drawn.share)
            pointer = self._pointer(self.network, prompt, 1, hides=True)
            walk = decode.walk(pointer, lattice, which, 1, decode.given(options))
        loss = self.processes.total(clone_loss(walk.log_prob) * prompt.share)
        self.trace = torch.cat([loss.detach()[None], self.trace[1:]])
        return loss

    def _reinforce(self) -> Iterator[Tensor]:
        """Loss of one batch of sampled groups; of method clipped, one an epoch on the same batch."""
        draw, pool, lattice = self.batches.drawn(self.done), self.ground.pool, self.ground.lattice
        groups, here = self.config.group, torch.from_numpy(draw.at).to(self.device)
        asked = (pool.product[draw.at], pool.context[here], pool.hint[here])
        prompt = Prompt(*asked, draw.hide, draw.share)
        which = torch.from_numpy(prompt.product).to(self.device)

        def walked(choice: decode.Choice) -> decode.Walk:
            with self._autocast():
                pointer = self._pointer(self.network, prompt, groups, hides=True)
                return decode.walk(pointer, lattice, which, groups, choice)

        def judged(walk: decode.Walk) -> PolicyStep:
            told = (signal, count, self.config, sampled)
            return policy_step(walk, held, *told, self.processes, prompt.share)

        walk = walked(decode.drawn(draw.uniform))
        options, sampled = walk.options, walk.log_prob.detach()
        held = self._reference(prompt, walk)
        signal, mean = self._signal(here, which, options)
        count = lattice.log_count[which].float()
        step = judged(walk)
        yield step.loss
        for _ in range(self.config.epochs - 1 if self.config.method == "clipped" else 0):
            step = judged(walked(decode.given(options)))
            yield step.loss
        self._note(step, mean)

    @torch.no_grad()
    def _reference(self, prompt: Prompt, walk: decode.Walk) -> decode.Walk:
        """The clone's probabilities on the same way."""
        groups = walk.options.shape[1]
        with self._autocast():
            old = self._pointer(self.reference, prompt, groups, hides=False)
            return decode.again(old, walk)

    def _signal(self, here: Tensor, which: Tensor, options: Tensor) -> tuple[Signal, Tensor]:
        """(what the reward model is believed of these options (B, G, S), its mean reward)."""
        pool, caution = self.ground.pool, self.ground.pool.caution
        mean, spread = pool.pieces.take(here).score(options - 1)
        slots = torch.arange(options.shape[2], device=options.device)
        shown = self.ground.known[which[:, None, None], slots, options].all(2)
        supported = caution.supported(mean, spread) & shown
        return Signal(caution.reward(mean, spread).float(), supported), mean

    def _note(self, step: PolicyStep, mean: Tensor) -> None:
        self.bad = self.bad + (~torch.isfinite(mean)).sum()
        seen = torch.stack([step.reward.detach(), step.kl, step.entropy, step.supported])
        self.trace = torch.cat([self.trace[:1], seen.to(self.trace.dtype)])

    def cloned(self) -> Network:
        """The network as it was when cloning ended."""
        return self.reference if self.done > self.config.clone_steps else self.network

    def check(self) -> None:
        """Raises ValueError where a reward of the steps so far was not a finite number."""
        bad = int(self.processes.total(self.bad))
        if bad > 0:
            raise ValueError(
                f"the reward model gave {bad} sampled combinations a reward that is no "
                "finite number; expected finite rewards; look at its training metrics and at the "
                "elements' embeddings and history"
            )

    def told(self) -> dict[str, float]:
        """The last step's figures."""
        names = ("clone_nats", "sampled_reward", "kl_share", "entropy_share", "supported_share")
        told = dict(zip(names, self.trace.tolist(), strict=True))
        weight = float(held_by(self.trace[2], self.config))
        return {**told, "kl_weight": weight, "steps": self.done}

    def save(self, path: Path | None, saved: Callable[[Path], None] | None = None) -> None:
        """The first process writes the checkpoint, if one is asked for, from which `resume` goes on
        exactly."""
        if path is None or self.processes.rank:
            return
        tensors = {
            **disk.network_tensors("network", self.network),
            **disk.network_tensors("reference", self.reference),
            **disk.optimiser_tensors(self.optimiser),
            "trace": self.trace,
        }
        disk.save(path, tensors, {"digest": self.ground.digest, "done": self.done})
        if saved is not None:
            saved(path)

    def resume(self, path: Path | None) -> int:
        """Steps already done by the checkpoint's run; 0 where there is none of these inputs."""
        stored = disk.found(path, self.ground.digest, self.processes)
        if stored is None:
            return 0
        tensors, facts = stored
        disk.restore_network("network", self.network, tensors)
        disk.restore_network("reference", self.reference, tensors)
        self.done = int(facts["done"])
        if self.done > self.config.clone_steps:
            self._reinforcement()
        disk.restore_optimiser(self.optimiser, tensors)
        self.trace.copy_(tensors["trace"])
        return self.done
