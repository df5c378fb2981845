"""Going down a function of a tensor by its gradient: L-BFGS of SciPy, or Adam with noise."""

from collections.abc import Callable
from typing import Any

import numpy as np

from dynamics.networks.adam import CosineAdam

from ...interfaces import Array

Value = Callable[[Any], Any]  # a tensor (d,) -> a tensor of one number
FAR = 1e6  # what a point is said to be worth where the function is no number


def descend(value: Value, point: Array, steps: int) -> Array:
    """Returns a point (d,) after so many iterations of L-BFGS; where the function is no number is
    far uphill.
    """
    import torch
    from scipy.optimize import minimize

    def both(point: Array) -> tuple[float, Array]:
        given = torch.tensor(point, requires_grad=True)
        found = value(given)
        slope = torch.autograd.grad(found, given)[0].numpy()
        if not (np.isfinite(float(found.detach())) and np.isfinite(slope).all()):
            return FAR, np.zeros_like(point)
        return float(found.detach()), slope

    options = {"maxiter": steps, "maxfun": 2 * steps}
    return minimize(both, point, jac=True, method="L-BFGS-B", options=options).x


def wander(draw: Callable[[], Value], point: Array, steps: int, rate: float) -> Array:
    """Returns a point (d,) after so many steps of Adam, each down a function that is drawn anew; a
    step whose gradient is no number is left out.
    """
    import torch

    given = torch.tensor(point, requires_grad=True)
    adam = CosineAdam([given], rate, steps)
    for _ in range(steps):
        slope = torch.autograd.grad(draw()(given), given)[0]
        given.grad = slope if torch.isfinite(slope).all() else torch.zeros_like(given)
        adam.step()
    return given.detach().numpy().copy()
