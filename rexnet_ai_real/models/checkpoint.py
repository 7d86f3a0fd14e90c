"""Files of weights from strangers: no code is run, and no more memory is used than the file has bytes.

What torch.save wrote is read as plain values. PyTorch itself keeps code out, but not this: a file of 1 kB that asks for
an array of any size, compressed records, and tensors that repeat one number a billion times.
"""

import mmap
import pickle
import re
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from rexnet_ai_real.files import NotPlain, require_plain

MOST_HEADER: Final = 16 << 20
"""Bytes that the names and shapes in a .safetensors file may take: 20 networks of 400 tensors take less than 1 MiB."""


class AsksForCode(ValueError):
    """A file that would run code; `function` is the first that it names."""

    def __init__(self, function: str) -> None:
        """`function`: such as posix.system."""
        super().__init__(function)
        self.function = function


class Damaged(ValueError):
    """A truncated or changed file, or one of another format; the message says what is wrong, without the path."""


def read_plain(path: Path) -> Any:
    """Tensors, numbers, strings and containers of them, on the CPU, from a file that torch.save wrote.

    Raises:
        AsksForCode: nothing of it was run.
        Damaged: anything else that cannot be read, or that would take more memory than it has bytes.
    """
    try:
        size = require_plain(path)
        _require_uncompressed(path, size)
        content = torch.load(path, "cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        if code := re.search(r"GLOBAL ([\w.]+)", str(error)):
            raise AsksForCode(code[1]) from error
        raise Damaged(_first_line(error)) from error
    except Damaged:
        raise
    except Exception as error:  # damage shows as any of a dozen types
        raise Damaged(_first_line(error)) from error
    for tensor in _tensors(content):
        _require_dense(tensor)
    return content


def read_safetensors(path: Path) -> dict[str, Tensor]:
    """The tensors of a .safetensors file by name, on the CPU.

    Raises:
        Damaged: it cannot be read, or its header is too large.
    """
    try:
        size = require_plain(path)
        with path.open("rb") as file:
            header = int.from_bytes(file.read(8), "little")
        if header > min(size, MOST_HEADER):
            raise Damaged(f"its header claims to have {header:,} bytes")
        return load_file(path)
    except (OSError, NotPlain, SafetensorError) as error:
        raise Damaged(_first_line(error)) from error


def _require_uncompressed(path: Path, size: int) -> None:
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        # PyTorch allows this function, which fills as much memory as it is told to.
        if content.find(b"bytearray\n") >= 0:
            raise Damaged("it asks for a block of memory, which no checkpoint needs")
        is_archive = content[:2] == b"PK"
    if is_archive:
        with zipfile.ZipFile(path) as archive:
            records = archive.infolist()
        if any(record.compress_type != zipfile.ZIP_STORED for record in records):
            raise Damaged("its records are compressed, which torch.save does not do")
        if sum(record.file_size for record in records) > size:
            raise Damaged("its records are larger than the file")


def _tensors(content: Any) -> Iterator[Tensor]:
    """Every tensor inside dictionaries, lists and tuples, each container once."""
    waiting, seen = [content], set[int]()
    while waiting:
        value = waiting.pop()
        if isinstance(value, Tensor):
            yield value
        elif isinstance(value, Mapping | list | tuple) and id(value) not in seen:
            seen.add(id(value))
            waiting.extend(value.values() if isinstance(value, Mapping) else value)


def _require_dense(tensor: Tensor) -> None:
    if tensor.layout != torch.strided or tensor.device.type != "cpu":
        raise Damaged("it holds a tensor without plain numbers")
    if tensor.numel() * tensor.itemsize > tensor.untyped_storage().nbytes():
        raise Damaged(f"it holds a tensor of {tensor.numel():,} numbers that are not in the file")


def _first_line(error: Exception) -> str:
    return (str(error).strip().partition("\n")[0] or type(error).__name__)[:200]
