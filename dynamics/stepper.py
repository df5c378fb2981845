"""Many steps in a row through networks: units folded into the layers, rows along the last axis, single precision.

With features before rows each product is (out, in) @ (in, rows), which is fast for few outputs too: 64 -> 10 in a fifth
of the time of (rows, in) @ (in, out).
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from lqr import InputError

Step = Callable[[Any], tuple[Any, Any]]


def stepper(model: Any) -> Step:
    """Returns a function of the networks of a `Perceptrons`: a float32 tensor of [x; u] (E, n, rows) to each member's
    mean change of state and its noise's standard deviation, (E, dx, rows) each, the latter None without such a head.

    Call it under torch.inference_mode(). Raises InputError before the first fit.
    """
    import torch

    if model.units is None:
        raise InputError(f"the model {model.word!r} has seen nothing; fit it first")
    units, last, dx = model.units, len(model.hidden), len(model.units.change)
    p = {name: value.double().numpy() for name, value in model.params.items()}
    inputs, spread, offset = units.rate[:, None], units.spread, units.centre * units.rate
    p["b0"] = p["b0"] - offset @ p["W0"][:, None]
    p["W0"] = inputs * p["W0"]
    bias, W, A = p[f"b{last}"], p[f"W{last}"], np.zeros((*p["A"].shape[:2], p[f"W{last}"].shape[-1]))
    bias[..., :dx] = spread * (bias[..., :dx] - offset @ p["A"][:, None]) + units.change
    W[..., :dx] *= spread
    A[..., :dx] = inputs * p["A"] * spread
    p[f"W{last}"], p["A"] = W, A
    if model.heads > 1:
        bias[..., dx:] += 2 * np.log(spread)
        # exp of the softly bounded logarithm, high - softplus(high - log), then low + softplus(. - low)
        floor, ceiling = spread**2 * np.exp(p["low"]), np.exp(-p["high"]) / spread**2
        least, most = (_turned(a) for a in (floor, ceiling))
    layers = [(_turned(p[f"W{i}"]), _turned(p[f"b{i}"])) for i in range(last)]
    out, end, straight = _turned(W), _turned(bias), _turned(A)

    def step(z: Any) -> tuple[Any, Any]:
        h = z
        for weight, b in layers:
            h = torch.nn.functional.silu(torch.baddbmm(b, weight, h), inplace=True)
        y = torch.baddbmm(torch.baddbmm(end, straight, z), out, h)
        if model.heads == 1:
            return y, None
        var = y[:, dx:].neg_().exp_().add_(most).reciprocal_().add_(least)
        return y[:, :dx], var.sqrt_()

    return step


def _turned(a: Any) -> Any:
    """(E, in, out) -> (E, out, in), of float32."""
    import torch

    return torch.as_tensor(np.ascontiguousarray(np.swapaxes(a, 1, 2)), dtype=torch.float32)
