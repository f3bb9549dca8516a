"""The device a training stage runs on, and the bar that shows how far it is."""

import sys
from collections.abc import Callable

from components.errors import Failed, WrongUse


def choose_device(wanted: str, processes: int = 1) -> str:
    """`cpu` or `cuda`; auto takes a GPU where there is one, cuda without one is an error, and so
    are more `processes` than GPUs on this machine."""
    import torch

    available = torch.cuda.is_available()
    if wanted == "cuda" and not available:
        raise Failed(
            "the config asks for device cuda, but torch sees no GPU on this machine; set device to "
            "auto or cpu, or schedule the step on a node with an accelerator"
        )
    chosen = "cuda" if available and wanted != "cpu" else "cpu"
    if chosen == "cuda" and processes > torch.cuda.device_count():
        raise WrongUse(
            f"{processes} processes are to learn on this machine, but torch sees "
            f"{torch.cuda.device_count()} GPUs; set processes to that number, or device to cpu"
        )
    return chosen


def watched(what: str) -> Callable[[int, int], None] | None:
    """A callback (done, total) that draws a progress bar; None where nobody watches a terminal."""
    if not sys.stderr.isatty():
        return None
    from rich.console import Console
    from rich.progress import Progress

    bar = Progress(console=Console(stderr=True), transient=True)
    task = bar.add_task(what, total=None)
    bar.start()

    def show(done: int, total: int) -> None:
        bar.update(task, completed=done, total=total)
        if done >= total:
            bar.stop()

    return show
