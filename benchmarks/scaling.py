"""How both trainings scale over the GPUs of a machine: `python3 -m benchmarks.scaling`.

Starts torchrun on 2, 4, 8 GPUs, as many as there are, over NCCL (`--cpu`: 2 processes over gloo);
torch and model/ alone. Checks first that losses and weights agree with one process' up to
rounding, then times the generator's fastest step and the reward model's at weak and strong scaling,
at the size of benchmarks/generator_gpu.py and at 8 times its width; then learns the same logs
together and alone, and kills a process to see its training go on from the checkpoint.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from benchmarks import scaling_quality as quality
from benchmarks import scaling_steps as steps
from benchmarks.generator_gpu import FAST
from benchmarks.generator_worlds import Planted
from model.bags import Bags
from model.generator.fused.step import How
from model.processes import ALONE, Processes, joined
from model.reward.fit import RewardConfig

Milliseconds = Callable[[int, Processes], float]
FEW = 4  # steps until a sample on the edge between two options may fall the other way
EAGER = How(torch.bfloat16)  # the kernels end at width 128; wider matrices need no compiler
HEAD = (
    f"{'what':34s} {'scaling':7s} {'n':>2s} {'rows each':>9s} {'ms':>9s} {'rows/s':>12s} "
    f"{'efficiency':>10s} {'comm.':>6s} {'peak GiB':>8s}"
)


def say(processes: Processes, *words: object) -> None:
    if processes.rank == 0:
        print(*words, flush=True)


def checked(processes: Processes, device: str) -> None:
    """Prints how far the processes together end from one."""
    small = 64 * processes.count
    say(processes, "float32:", steps.agreement(processes, small, 64, How(), device, FEW))
    if device == "cuda":
        eager = How(torch.bfloat16, kernels=True)
        told = steps.agreement(processes, 1024 * processes.count, 128, eager, device, FEW)
        say(processes, "bf16, kernels:", told)


def generators(processes: Processes, device: str) -> None:
    """Prints the generator's lines."""
    tiny = device == "cpu"
    sizes = (
        ((32, 64, How()), (256, 2, How())) if tiny
        else ((128, 16384, FAST), (1024, 1024, EAGER))
    )  # fmt: skip
    for width, rows, how in sizes:
        reach = 2 if tiny else 10

        def ms(
            rows: int, who: Processes, width: int = width, how: How = how, n: int = reach
        ) -> float:
            return steps.generator_ms(rows, width, how, device, who, n)

        name = f"generator, width {width}"
        lines(processes, device, name, rows, ms)


def rewards(processes: Processes, device: str) -> None:
    """Prints the reward model's lines."""
    tiny = device == "cpu"
    world = Planted.of(20 if tiny else 500, 5 if tiny else 16, 3)
    reach = 4 if tiny else 20
    usual, filled = (512, 2048) if tiny else (16384, 262144)
    logs = {rows: world.log(max(2, processes.count) * rows, 1) for rows in (usual, filled)}
    wide = {"interaction": 48, "context_rank": 32}
    for name, rows, more in (
        ("reward", usual, {}), ("reward", filled, {}), ("reward, 8x width", filled, wide)
    ):  # fmt: skip
        config = RewardConfig(dispersion=1.0, **more)  # type: ignore[arg-type]

        def ms(
            each: int, who: Processes, config: RewardConfig = config, log: Bags = logs[rows]
        ) -> float:
            return steps.reward_ms(world, log, each * who.count, config, device, who, reach)

        lines(processes, device, f"{name}, {rows} rows", rows, ms)


def lines(processes: Processes, device: str, name: str, rows: int, ms: Milliseconds) -> None:
    """Prints weak and strong scaling of one thing; ms(rows of one process, processes) times it."""
    count = processes.count
    try:
        found = measured(processes, device, name, rows, ms)
    except RuntimeError as error:  # out of memory, say: the other lines are worth having
        say(processes, f"{name}: {type(error).__name__}: {str(error)[:600]}")
        return
    for one in found:
        t = one.told()
        say(
            processes,
            f"{name:34s} {one.scaling:7s} {count:2d} {one.rows:9d} {one.joined_ms:9.3f} "
            f"{t['rate']:12,.0f} {t['efficiency']:10.3f} {t['lost']:6.1%} {one.peak_gib:8.2f}",
        )


def measured(
    processes: Processes, device: str, name: str, rows: int, ms: Milliseconds
) -> list[steps.Timed]:
    """Weak and strong scaling of one thing."""
    count, part = processes.count, rows // processes.count
    whole = ms(rows, ALONE)
    steps.peak_gib(device)
    weak = ms(rows, processes)
    peak = steps.peak_gib(device)
    found = [steps.Timed(name, "weak", count, rows, weak, whole, whole, peak)]
    cut = ms(part, ALONE)
    steps.peak_gib(device)
    strong = ms(part, processes)
    peak = steps.peak_gib(device)
    return [*found, steps.Timed(name, "strong", count, part, strong, cut, whole, peak)]


def worker(asked: argparse.Namespace) -> None:
    """One of the processes."""
    rank, count = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    device = "cpu" if asked.cpu else "cuda"
    if device == "cuda":
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
        torch.backends.cuda.matmul.allow_bf16_reduced_precision_reduction = True
    with joined(rank, count, device) as processes:
        if asked.part == "broken":
            found = quality.broken(device, processes, asked.folder / asked.name, asked.dies_at)
            if rank == 0:
                save_file(found, asked.folder / f"{asked.name}.ended")
            return
        if asked.part == "steps":
            checked(processes, device)
            say(processes, HEAD)
            if asked.what in (None, "generator"):
                generators(processes, device)
            if asked.what in (None, "reward"):
                rewards(processes, device)
        else:
            size = (20_000, 40) if device == "cpu" else (60_000, 120)
            together = quality.learned(device, processes, *size)
            alone = quality.learned(device, ALONE, *size)
            for sentence in quality.compared(together, alone):
                say(processes, sentence)


def launched(count: int, cpu: bool, *words: str) -> int:
    """Exit code of torchrun with `count` processes of this module."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    command += [f"--nproc-per-node={count}", "--local-addr=127.0.0.1", "-m", "benchmarks.scaling"]
    loopback = {"GLOO_SOCKET_IFNAME": "lo", "NCCL_SOCKET_IFNAME": "lo"}
    threads = {"OMP_NUM_THREADS": str(max(1, (os.cpu_count() or 1) // count))}
    command += [*words, *(["--cpu"] if cpu else [])]
    return subprocess.run(
        command, env={**threads, **os.environ, **loopback}, check=False
    ).returncode


def killed(count: int, cpu: bool) -> None:
    """Prints how a training with a killed process ends, beside an unbroken one."""
    with tempfile.TemporaryDirectory() as folder:
        given = ("--part=broken", f"--folder={folder}")
        assert launched(count, cpu, *given, "--name=whole", "--dies-at=0") == 0
        first = launched(count, cpu, *given, "--name=cut", "--dies-at=47")
        again = launched(count, cpu, *given, "--name=cut", "--dies-at=47")
        whole, cut = (load_file(Path(folder) / f"{name}.ended") for name in ("whole", "cut"))
        weights = [name for name in whole if name != "resumed_at"]
        off = max(float((whole[n] - cut[n]).abs().max()) for n in weights if whole[n].numel())
        print(
            f"killed process {count - 1} after step 47 (exit {first}), started again (exit {again}): "
            f"went on from step {int(cut['resumed_at'])}, weights at most {off:.1e} from an "
            "unbroken training's",
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cpu", action="store_true", help="2 processes over gloo, small sizes")
    parser.add_argument("--only", choices=("steps", "quality", "killed"), help="one part")
    parser.add_argument("--what", choices=("generator", "reward"), help="of the steps, one model's")
    parser.add_argument("--part", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--name", help=argparse.SUPPRESS)
    parser.add_argument("--dies-at", type=int, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.part:
        worker(asked)
        return
    gpus = 0 if asked.cpu else torch.cuda.device_count()
    counts = [n for n in (2, 4, 8) if n <= gpus] or [2]
    if not asked.cpu and gpus < 2:
        sys.exit(f"found {gpus} GPUs, expected at least 2; --cpu takes processes over gloo")
    where = f"{os.cpu_count()} cores" if asked.cpu else torch.cuda.get_device_name()
    print(f"{where}, torch {torch.__version__}", flush=True)
    for count in counts:
        for part in ("steps", "quality"):
            given = [f"--part={part}", *([f"--what={asked.what}"] if asked.what else [])]
            if asked.only in (None, part) and launched(count, asked.cpu, *given):
                sys.exit(f"{part} on {count} processes did not end as it should")
        if asked.only in (None, "killed"):
            killed(count, asked.cpu)


if __name__ == "__main__":
    main()
