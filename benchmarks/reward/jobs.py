"""Independent fits side by side, each in a process with one thread."""

import multiprocessing
import sys
import time
from collections.abc import Callable, Hashable, Mapping
from concurrent.futures import ProcessPoolExecutor, as_completed
from typing import Any, TypeVar

Key = TypeVar("Key", bound=Hashable)
_WAITING: dict[Any, Callable[[], Any]] = {}


def answers(
    jobs: Mapping[Key, Callable[[], Any]], workers: int, say: bool = True
) -> dict[Key, tuple[Any, float]]:
    """What each job returns and its seconds; jobs see what was in memory when this is called."""
    _WAITING.clear()
    _WAITING.update(jobs)
    found: dict[Key, tuple[Any, float]] = {}
    if workers < 2:
        for key in jobs:
            found[key] = _do(key)
            _tell(key, found[key][1], len(found), len(jobs), say)
    else:
        fork = multiprocessing.get_context("fork")
        with ProcessPoolExecutor(workers, mp_context=fork, initializer=_alone) as pool:
            asked = {pool.submit(_do, key): key for key in jobs}
            for done in as_completed(asked):
                key = asked[done]
                found[key] = done.result()
                _tell(key, found[key][1], len(found), len(jobs), say)
    _WAITING.clear()
    return {key: found[key] for key in jobs}


def _alone() -> None:
    import torch

    torch.set_num_threads(1)


def _do(key: Any) -> tuple[Any, float]:
    began = time.perf_counter()
    return _WAITING[key](), time.perf_counter() - began


def _tell(key: Any, seconds: float, done: int, total: int, say: bool) -> None:
    if say:
        name = ", ".join(map(str, key)) if isinstance(key, tuple) else key
        print(f"  {done}/{total} {name}: {seconds:.0f} s", file=sys.stderr, flush=True)
