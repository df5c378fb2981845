"""A policy as a file that runs without this library: a program that torch alone runs, or ONNX.

The program takes raw observations and returns the mean actions within the limits, in float64 (but
for convolutions in ONNX, float32); the units of the observations are part of it. A policy with
memory also takes its memory (B, H), zeros at the start of an episode, and returns the next one.
"""

import io
import logging
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from dynamics.storage.files import write_file
from lqr import InputError

from ..interfaces import Array

FORMATS = {"torch": ".pt2", "onnx": ".onnx"}


def export(policy: Any, path: str | Path, format: str = "torch") -> Path:
    """Writes a policy as a program, and returns the path, with the format's ending.

    torch.export.load(path).module()(o) maps a tensor (B, do), for any B, to (B, du); with memory,
    (o, memory) to (u, memory). In ONNX the names are observation, action, memory and next_memory. Raises InputError
    for another format, for a policy that is no network, and where the packages for ONNX are
    missing; StorageError where the file cannot be written, which is then as it was.
    """
    if format not in FORMATS:
        raise InputError(f"format is {format!r}; expected one of {', '.join(FORMATS)}")
    if not hasattr(policy, "program"):
        raise InputError(
            f"got the policy {type(policy).__name__}, which is no network; expected the run of a method that trains "
            "one, such as badmm or mdgps"
        )
    import torch

    path = named(Path(path), FORMATS[format])
    program, inputs = policy.program(), [torch.zeros(2, policy.do, dtype=torch.float64)]
    names = ["observation"], ["action"]
    if hasattr(policy, "memory"):
        inputs.append(torch.zeros(2, policy.size, dtype=torch.float64))
        names = ["observation", "memory"], ["action", "next_memory"]
    with warnings.catch_warnings(action="ignore"), torch.no_grad():  # torch's own, of its future
        content = _torch(program, inputs) if format == "torch" else _onnx(program, inputs, *names)
    write_file(path, content)
    return path


def named(path: Path, ending: str) -> Path:
    """Returns the path with an ending: in place of another format's, else behind the whole name,
    whatever dots are in it.
    """
    other = path.suffix in FORMATS.values()
    return path.with_suffix(ending) if other else path.with_name(path.name + ending)


def _torch(program: Any, inputs: list[Any]) -> bytes:
    """Returns what torch.export.load reads."""
    import torch

    content, any_batch = io.BytesIO(), {0: torch.export.Dim.AUTO}
    shapes = (tuple(any_batch for _ in inputs),)  # of the one argument *inputs
    torch.export.save(torch.export.export(program, tuple(inputs), dynamic_shapes=shapes), content)
    return content.getvalue()


def _onnx(program: Any, inputs: list[Any], given: list[str], found: list[str]) -> bytes:
    """Returns the program as ONNX."""
    import torch

    try:
        import onnx  # noqa: F401
        import onnxscript  # noqa: F401
    except ImportError as missing:
        raise InputError(
            f"{missing.name} is not installed; expected it for ONNX: pip install onnx onnxscript"
        ) from None
    for name, value in list(program.named_buffers()):
        if name.startswith("filter_"):  # ONNX Runtime has no convolution in float64
            setattr(program, name, value.float())
    batch = torch.export.Dim("batch")
    shapes = (tuple({0: batch} for _ in inputs),)  # of the one argument *inputs
    names: dict[str, Any] = {"input_names": given, "output_names": found}
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)  # torch tells that torchvision is not there
    try:
        made = torch.onnx.export(
            program, tuple(inputs), dynamic_shapes=shapes, dynamo=True, verbose=False, **names
        )
    finally:
        logging.disable(before)
    assert made is not None
    return bytes(made.model_proto.SerializeToString())


def program(function: Any, parameters: dict[str, Array]) -> Any:
    """Returns a torch module that holds these arrays as buffers; its forward is function(buffers,
    *inputs).
    """
    import torch

    class Program(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            for name, value in parameters.items():
                self.register_buffer(name, torch.as_tensor(np.array(value, dtype=float)))

        def forward(self, *inputs: Any) -> Any:
            return function({name: getattr(self, name) for name in parameters}, *inputs)

    return Program().train(False)
