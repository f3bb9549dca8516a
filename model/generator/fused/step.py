"""One step of the policy gradient with static shapes, nothing read back by the host.

Sampling, rewards, the clone's probabilities, loss, backward pass, clipping and AdamW. On a GPU the
torch parts are compiled and the step is one CUDA graph; on a CPU the same code runs as it is. Of
several processes each holds a part of the batch, and what they sum is in the graph as well.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from model.generator import decode
from model.generator.config import GeneratorConfig
from model.generator.fused import policy
from model.generator.fused.layer import able
from model.generator.fused.policy import Paths, Requests
from model.generator.hints import Caution
from model.generator.network import Block, Network
from model.generator.objective import Signal, means, step_of
from model.processes import ALONE, Processes

__all__ = ["How", "Paths", "Requests", "Step", "best_here"]


@dataclass(frozen=True)
class How:
    """What a step is computed with; the default is right everywhere."""

    kind: torch.dtype = torch.float32
    kernels: bool = False  # Triton layers
    compiled: bool = False
    graph: bool = False


def best_here(network: Network, requests: Requests) -> How:
    """The fastest way on the requests' device, for a network of this size."""
    if not requests.dense.is_cuda:
        return How()
    block = network.blocks[0]
    assert isinstance(block, Block)
    kernels = able(block, requests.present.shape[1])
    return How(torch.bfloat16, kernels=kernels, compiled=True, graph=True)


@dataclass(frozen=True, eq=False)
class Told:
    """What one step gave, on the device."""

    loss: Tensor
    figures: Tensor  # (4,) reward, kl, entropy, supported
    options: Tensor  # (B, G, S) int64, 0 = absent
    log_prob: Tensor  # (B, G)
    bad: Tensor  # how many rewards were no finite number


class Step:
    """Updates of one network on fixed buffers.

    Fill the tensors of `requests` and `uniform` in place, then `run`.
    """

    def __init__(
        self,
        network: Network,
        reference: Network,
        requests: Requests,
        caution: Caution,
        config: GeneratorConfig,
        how: How,
        processes: Processes = ALONE,
        share: float | None = None,
    ):
        """`share` of the batch that these requests are; default: an equal one."""
        self.processes = processes
        self.share = 1 / processes.count if share is None else share
        self.network, self.reference, self.requests = network, reference, requests
        self.caution, self.config, self.how = caution, config, how
        device, size = requests.dense.device, len(requests.dense)
        self.uniform = torch.rand(size, config.group, requests.paths.slots, device=device)
        self.rows = torch.arange(size, device=device)
        on_gpu = device.type == "cuda"
        rate = config.learning_rate
        self.optimiser = torch.optim.AdamW(
            network.parameters(),
            lr=torch.tensor(rate, device=device) if on_gpu else rate,
            weight_decay=config.weight_decay,
            fused=on_gpu,
            capturable=on_gpu,
        )
        self._first, self._last, self._whole = policy.first_tokens, self._judged, self._encoded
        if how.compiled:
            self._last = torch.compile(self._judged, dynamic=False)
            self._first = torch.compile(policy.first_tokens, dynamic=False)
        if how.compiled and not how.kernels:
            self._first = policy.first_tokens
            self._whole = torch.compile(self._encoded, dynamic=False)
        self._graph: torch.cuda.CUDAGraph | None = None
        self.told: Told | None = None

    def rate(self, rate: float) -> None:
        """Sets the learning rate without a synchronisation."""
        for group in self.optimiser.param_groups:
            if isinstance(group["lr"], Tensor):
                group["lr"].fill_(rate)
            else:
                group["lr"] = rate

    def run(self) -> Told:
        """One update; captured at the first call where `how.graph`."""
        if self.how.graph and self._graph is None:
            self._capture()
        if self._graph is None:
            self.gradients()
            self._update()
        else:
            self._graph.replay()
        assert self.told is not None
        return self.told

    def gradients(self) -> Told:
        """Loss, figures and gradients of the whole batch at the samples that `uniform` draws."""
        for parameter in self.network.parameters():
            parameter.grad = None
        tokens = self._whole(self.network, True)
        with torch.no_grad():
            held = self._whole(self.reference, False)
        own, options, log_prob, bad = self._last(tokens, held)
        whole = self.processes.total(own * self.share)
        step = step_of(whole, self.config)
        step.loss.backward()
        self.processes.add_gradients(self.network.parameters())
        figures = torch.stack([step.reward, step.kl, step.entropy, step.supported])
        self.told = Told(step.loss.detach(), figures, options, log_prob, bad)
        return self.told

    def _encoded(self, network: Network, hides: bool) -> Tensor:
        tokens = self._first(network, self.requests, self.how.kind, hides)
        return policy.encoded(network, tokens, self.requests.present, self.how.kernels)

    def _judged(self, tokens: Tensor, held: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """(means (5,) of the own groups, options, log-probabilities, rewards that are no number)."""
        asked, groups = self.requests, self.config.group
        own = policy.Pointer(self.network, tokens, asked, groups)
        choice = decode.drawn(self.uniform)
        walk = decode.walk(own, asked.paths, self.rows, groups, choice)  # pyright: ignore
        with torch.no_grad():
            old = policy.Pointer(self.reference, held, asked, groups)
            clone = decode.again(old, walk)
            mean, spread = asked.pieces.score(walk.options - 1)
            shown = asked.known.gather(2, walk.options.transpose(1, 2)).all(1)
            signal = Signal(
                self.caution.reward(mean, spread).to(walk.log_prob.dtype),
                self.caution.supported(mean, spread) & shown,
            )
        own = means(walk, clone, signal, asked.log_count, self.config, None, self.processes)
        return own, walk.options, walk.log_prob.detach(), (~torch.isfinite(mean)).sum()

    def _update(self) -> None:
        assert self.told is not None
        clip = self.config.gradient_clip
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), clip, foreach=True)
        self.optimiser.step()

    def _capture(self) -> None:
        """Warms up, captures, and puts back the state that the warm-up changed."""
        kept = [part.detach().clone() for part in self.network.parameters()]
        moments = {
            parameter: {name: value.clone() for name, value in held.items()}
            for parameter, held in self.optimiser.state.items()
        }
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(3):
                self.gradients()
                self._update()
        torch.cuda.current_stream().wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        self.optimiser.zero_grad(set_to_none=True)
        with torch.cuda.graph(graph, capture_error_mode="thread_local"):  # NCCL's watchdog asks too
            self.gradients()
            self._update()
        self._put_back(kept, moments)
        self._graph = graph

    def _put_back(self, kept: list[Tensor], moments: Mapping[Tensor, Mapping[str, Tensor]]) -> None:
        """The optimiser's moments are 0 where there were none (a run that goes on has some)."""
        with torch.no_grad():
            for part, was in zip(self.network.parameters(), kept, strict=True):
                part.copy_(was)
        for parameter, held in self.optimiser.state.items():
            for name, value in held.items():
                if parameter in moments:
                    value.copy_(moments[parameter][name])
                else:
                    value.zero_()
