"""Runs the CUDA kernels of model/reward/fused/hopper on a CPU, by g++ and fibers."""

import ctypes
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from model.reward.fused.hopper import nvrtc, source
from model.reward.fused.layout import Sizes

KERNELS = ("shared_bytes", "gradients", "settle", "together", "weigh", "spread", "tell")


def machine(sizes: Sizes, definitions: dict[str, int]) -> "Machine":
    products = "".join(
        f"""
template <int C> void {name}_first(float (&d)[C], const u32 (&a)[4], Matrix b) {{
    for (auto& x : d) x = 0;
    product_of_cores(d, a, b);
}}
template <int C> void {name}(float (&d)[C], const u32 (&a)[4], Matrix b) {{ product_of_cores(d, a, b); }}
template <int C> void {name}_turned(float (&d)[C], Matrix a, Matrix b) {{ product_turned(d, a, b); }}
"""
        for name in source.PRODUCTS
    )
    told = (Path(__file__).parent / "hopper_machine.hpp").read_text()
    launches = "".join(
        f'extern "C" void launch_{name}(int x, int y, int count, void** given) '
        f"{{ launched({name}, x, y, count, given); }}\n"
        for name in KERNELS
    )
    named = "".join(f"#define {name} {value}\n" for name, value in definitions.items())
    return Machine(named + told + source.whole("", products) + launches)


class Machine:
    def __init__(self, text: str) -> None:
        self._held = tempfile.TemporaryDirectory()  # gone with the machine
        folder = Path(self._held.name)
        (folder / "rows.cpp").write_text(text)
        built = ["g++", "-O1", "-std=c++17", "-w", "-fno-strict-aliasing", "-shared", "-fPIC", "-o"]
        subprocess.run([*built, folder / "rows.so", folder / "rows.cpp"], check=True)
        self._library = ctypes.CDLL(str(folder / "rows.so"))

    def kernel(self, name: str, threads: int, shared: int = 0) -> Any:
        assert shared <= 1 << 20
        launch = getattr(self._library, f"launch_{name}")

        def run(blocks: tuple[int, int], *given: Any) -> None:
            told = [nvrtc.argument(value) for value in given]
            places = (ctypes.c_void_p * len(told))(*(ctypes.addressof(value) for value in told))
            launch(*blocks, threads, places)

        return run
