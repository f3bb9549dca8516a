"""The device a training stage runs on, and the bar that shows how far it is."""

import sys
from collections.abc import Callable

from components.errors import Failed


def choose_device(wanted: str) -> str:
    """`cpu` or `cuda`; auto takes a GPU where there is one, cuda without one is an error."""
    import torch

    available = torch.cuda.is_available()
    if wanted == "cuda" and not available:
        raise Failed(
            "the config asks for device cuda, but torch sees no GPU on this machine; set device to "
            "auto or cpu, or schedule the step on a node with an accelerator"
        )
    return "cuda" if available and wanted != "cpu" else "cpu"


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
