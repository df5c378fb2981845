"""LQR as a torch function: gradients by torch's own differences, and through a weight."""

import numpy as np
import pytest
import torch

from dynamics.networks.lqr_layer import solve_lqr_torch
from lqr import InputError


def problem(lead=(), T=3, dx=2, du=1, seed=0):
    rng, n = np.random.default_rng(seed), dx + du
    A = rng.normal(size=(T + 1, n, n))
    arrays = (
        rng.normal(size=(*lead, T, dx, n)),
        rng.normal(size=(T, dx)),
        A @ A.swapaxes(-1, -2) + np.eye(n),
        rng.normal(size=(T + 1, n)),
        rng.normal(size=(*lead, dx)),
    )
    return [torch.tensor(a, requires_grad=True) for a in arrays]


@pytest.mark.parametrize("lead", [(), (2,)])
def test_gradients_are_those_of_torchs_own_differences(lead):
    F, f, C, c, x0 = problem(lead)

    def solve(F, f, C, c, x0):
        return solve_lqr_torch(F, f, 0.5 * (C + C.mT), c, x0)

    assert torch.autograd.gradcheck(solve, (F, f, C, c, x0), eps=1e-6, atol=1e-5)


def test_a_weight_is_found_again_from_the_actions_it_leads_to():
    F, f, _, c, x0 = (a.detach() for a in problem(T=10))
    Q = torch.eye(3, dtype=torch.float64)
    seen = solve_lqr_torch(F, f, (Q * torch.tensor([1.0, 1.0, 3.0])).expand(11, 3, 3), c, x0).U
    log_weight = torch.zeros((), dtype=torch.float64, requires_grad=True)
    optimiser = torch.optim.Adam([log_weight], 0.1)
    for _ in range(200):
        weights = torch.stack([torch.ones_like(log_weight)] * 2 + [log_weight.exp()])
        loss = (
            (solve_lqr_torch(F, f, (Q * weights).expand(11, 3, 3), c, x0).U - seen).square().sum()
        )
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert log_weight.exp().item() == pytest.approx(3.0, rel=1e-3)


def test_what_does_not_fit_is_refused_as_by_lqr():
    F, f, C, c, x0 = problem()
    with pytest.raises(InputError, match=r"dynamics.f has shape \(2, 2\)"):
        solve_lqr_torch(F, f[1:], C, c, x0)
