# pyright: basic
"""CUDA C++ as kernels that torch's stream runs: compiled by NVRTC, which torch's wheels bring."""

import ctypes
from ctypes import byref, c_char_p, c_int, c_size_t, c_uint, c_void_p
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

LARGE_SHARED = 8  # CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES


def compiled(source: str, options: list[str]) -> bytes:
    """Machine code. Raises RuntimeError with the compiler's words."""
    rtc = _nvrtc()
    program = c_void_p()
    _fine(rtc.nvrtcCreateProgram(byref(program), source.encode(), b"rows.cu", 0, None, None))
    told = (c_char_p * len(options))(*(option.encode() for option in options))
    failed = rtc.nvrtcCompileProgram(program, len(options), told)
    if failed:
        size = c_size_t()
        _fine(rtc.nvrtcGetProgramLogSize(program, byref(size)))
        log = ctypes.create_string_buffer(size.value)
        _fine(rtc.nvrtcGetProgramLog(program, log))
        raise RuntimeError(log.value.decode())
    size = c_size_t()
    _fine(rtc.nvrtcGetCUBINSize(program, byref(size)))
    code = ctypes.create_string_buffer(size.value)
    _fine(rtc.nvrtcGetCUBIN(program, code))
    _fine(rtc.nvrtcDestroyProgram(byref(program)))
    return code.raw


class Module:
    """Machine code on the current device."""

    def __init__(self, code: bytes) -> None:
        torch.zeros((), device="cuda")  # the device's context is there from now on
        self._driver, self._held = ctypes.CDLL("libcuda.so.1"), c_void_p()
        _fine(self._driver.cuModuleLoadData(byref(self._held), code))

    def kernel(self, name: str, threads: int, shared: int = 0) -> "Kernel":
        """By its name in the source; threads of a block, bytes of shared memory it is launched with."""
        found = c_void_p()
        _fine(self._driver.cuModuleGetFunction(byref(found), self._held, name.encode()))
        if shared:
            _fine(self._driver.cuFuncSetAttribute(found, LARGE_SHARED, shared))
        return Kernel(self._driver, found, threads, shared)


class Kernel:
    """A kernel with its threads a block and bytes of shared memory."""

    def __init__(self, driver: Any, found: c_void_p, threads: int, shared: int) -> None:
        self._driver, self._found, self.threads, self.shared = driver, found, threads, shared

    def __call__(self, blocks: tuple[int, int], *given: Any) -> None:
        """Tensors, ints and floats of 32 bits, or ctypes, on torch's current stream."""
        told = [argument(value) for value in given]
        places = (c_void_p * len(told))(*(ctypes.addressof(value) for value in told))
        stream = c_void_p(torch.cuda.current_stream().cuda_stream)
        _fine(
            self._driver.cuLaunchKernel(
                self._found, c_uint(blocks[0]), c_uint(blocks[1]), c_uint(1), c_uint(self.threads),
                c_uint(1), c_uint(1), c_uint(self.shared), stream, places, None,
            )
        )  # fmt: skip


def argument(value: Any) -> Any:
    """What the driver is told of it."""
    if isinstance(value, Tensor):
        assert value.is_contiguous()
        return c_void_p(value.data_ptr())
    if isinstance(value, float):
        return ctypes.c_float(value)
    return c_int(value) if isinstance(value, int) else value


def there() -> bool:
    """Whether the compiler is found."""
    try:
        return bool(_nvrtc())
    except OSError:
        return False


def _nvrtc() -> Any:
    """The library by the major version of torch's CUDA. Raises OSError."""
    name = f"libnvrtc.so.{(torch.version.cuda or '').split('.')[0]}"
    try:
        return ctypes.CDLL(name)
    except OSError:
        for folder in Path(torch.__file__).parent.parent.glob("nvidia/*/lib"):
            if (folder / name).exists():
                return ctypes.CDLL(str(folder / name))
        raise


def _fine(code: int) -> None:
    if code:
        raise RuntimeError(f"CUDA's answer is {code}")
