"""Trains the generator: it clones the log, then follows the reward, held by its clone."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from model.bags import Bags
from model.combinations import Rules
from model.determinism import deterministic
from model.elements import Elements
from model.generator import report
from model.generator.config import GeneratorConfig
from model.generator.ground import Lesson, prepare
from model.generator.learner import Learner
from model.generator.policy import Generator
from model.processes import ALONE, Processes
from model.reward.scoring import RewardModel

__all__ = ["GeneratorConfig", "fit_generator"]

Progress = Callable[[int, int], None]


def fit_generator(
    bags: Bags,
    elements: Elements,
    rules: Rules,
    reward: RewardModel,
    context: Mapping[str, str],
    config: GeneratorConfig,
    *,
    seed: int,
    device: str = "cpu",
    checkpoint: Path | None = None,
    progress: Progress | None = None,
    processes: Processes = ALONE,
    saved: Callable[[Path], None] | None = None,
) -> tuple[Generator, dict[str, Any]]:
    """(generator, metrics) learned from these bags and this reward model.

    The same arguments give the same weights (bit for bit on one CPU thread count). With a
    `checkpoint` file a killed run goes on where it was last saved and ends with the same weights;
    a checkpoint of other inputs is ignored and written over; `saved` is told of each that was
    written. Several `processes` learn the same weights up to rounding. Raises ValueError where no
    bag shows a legal combination and where the reward model gives no finite numbers.
    """
    lesson = Lesson(bags, elements, rules, reward, context, config, seed, device)
    ground = prepare(lesson)
    processes.agree(ground.digest)
    learner = Learner(ground, config, seed, device, processes)
    resumed_at = learner.resume(checkpoint)
    total = config.clone_steps + config.steps
    with deterministic(device):
        while learner.done < total:
            learner.advance()
            if learner.done % config.checkpoint_every == 0:
                learner.check()
                learner.save(checkpoint, saved)
            if progress is not None:
                progress(learner.done, total)
    learner.check()
    cloned = Generator(learner.cloned(), ground.encoding, ground.pool.caution)
    generator = Generator(learner.network.cpu(), ground.encoding, ground.pool.caution)
    metrics = report.measured(generator, cloned, ground, lesson)
    return generator, {**metrics, **learner.told(), "resumed_at": resumed_at}
