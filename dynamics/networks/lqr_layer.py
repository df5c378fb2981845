"""The solution of an LQR problem as a differentiable function of torch, in float64 on the CPU."""

from typing import TYPE_CHECKING, Any

import numpy as np

from lqr import LinearGaussianDynamics, LQRSolution, QuadraticCost, solve_lqr, solve_lqr_vjp

if TYPE_CHECKING:
    from torch import Tensor

FIELDS = LQRSolution._fields


def solve_lqr_torch(F: "Tensor", f: "Tensor", C: "Tensor", c: "Tensor", x0: "Tensor") -> Any:
    """Returns an `LQRSolution` of tensors, which gradients flow through to every argument.

    F (..., T, dx, n), f (..., T, dx), C (..., T+1, n, n), c (..., T+1, n), x0 (..., dx) as in
    `lqr.solve_lqr`, without noise; leading axes broadcast. The gradient is the adjoint of both
    passes (`lqr.solve_lqr_vjp`), that of a symmetric C a symmetric one; second derivatives are not
    to be had. Raises what `solve_lqr` raises.
    """
    return LQRSolution(*_function().apply(F, f, C, c, x0))


def _function() -> Any:
    import torch
    from torch.autograd.function import once_differentiable

    class Solve(torch.autograd.Function):
        @staticmethod
        def forward(context: Any, *given: Any) -> Any:
            context.save_for_backward(*given)
            solution = solve_lqr(*_problem(given))
            return tuple(torch.as_tensor(a, dtype=given[0].dtype) for a in solution)

        @staticmethod
        @once_differentiable
        def backward(context: Any, *above: Any) -> Any:
            given = context.saved_tensors
            bars = {name: a.numpy() for name, a in zip(FIELDS, above, strict=True) if a is not None}
            found = solve_lqr_vjp(*_problem(given), bars)
            parts = (*found.dynamics[:2], *found.cost[:2], found.x0)
            return tuple(_like(a, g) for a, g in zip(given, parts, strict=True))

    def _like(a: Any, g: Any) -> Any:  # the sum over axes along which the argument was broadcast
        return torch.as_tensor(g, dtype=a.dtype).sum_to_size(a.shape)

    return Solve


def _problem(given: Any) -> tuple[LinearGaussianDynamics, QuadraticCost, Any]:
    F, f, C, c, x0 = (a.detach().numpy() for a in given)
    noise = np.zeros((*F.shape[:-1], F.shape[-2]))
    return LinearGaussianDynamics(F, f, noise), QuadraticCost(C, c, np.zeros(c.shape[:-1])), x0
