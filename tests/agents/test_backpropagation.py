"""The hand-written training against torch: automatic differentiation, its Adam and its cosine."""

import numpy as np
import pytest

from agents.policies.numpy_training import adam, loss_and_gradient, views

SHAPES = {(): [(2, 3), (2,)], (7, 6): [(7, 3), (6, 7), (2, 6), (7,), (6,), (2,)]}


def problem(hidden, seed=0):
    rng = np.random.default_rng(seed)
    parameters = rng.normal(size=sum(int(np.prod(s)) for s in SHAPES[hidden]))
    root = rng.normal(size=(20, 2, 2))
    return (
        parameters,
        rng.normal(size=(20, 3)),
        rng.normal(size=(20, 2)),
        root @ root.swapaxes(1, 2),
    )


def torch_loss(parts, x, y, P):
    import torch

    L, h = len(parts) // 2, torch.as_tensor(x)
    for i in range(L):
        h = h @ parts[i].T + parts[L + i]
        h = torch.tanh(h) if i < L - 1 else h
    gap = h - torch.as_tensor(y)
    return 0.5 * torch.einsum("mi,mij,mj->m", gap, torch.as_tensor(P), gap).mean()


@pytest.mark.parametrize("hidden", SHAPES)
def test_loss_and_gradient_are_those_of_automatic_differentiation(hidden):
    import torch

    parameters, x, y, P = problem(hidden)
    now, slope = views(parameters, SHAPES[hidden]), np.empty_like(parameters)
    L = len(now) // 2
    loss = loss_and_gradient(now[:L], now[L:], x, y, P, views(slope, SHAPES[hidden]))
    parts = [torch.as_tensor(a).clone().requires_grad_() for a in now]
    expected = torch_loss(parts, x, y, P)
    expected.backward()
    assert loss == pytest.approx(expected.item(), rel=1e-12)
    np.testing.assert_allclose(
        slope, np.concatenate([a.grad.numpy().ravel() for a in parts]), atol=1e-12
    )


def test_thirty_steps_of_adam_end_where_those_of_torch_end():
    import torch

    parameters, x, y, P = problem((7, 6))
    start, shapes = parameters.copy(), SHAPES[7, 6]
    now, slope = views(parameters, shapes), np.empty_like(parameters)
    into = views(slope, shapes)

    def gradient():
        loss_and_gradient(now[:3], now[3:], x, y, P, into)
        return slope

    adam(parameters, gradient, 30, 0.03, decay=0.01)
    parts = [torch.as_tensor(a).clone().requires_grad_() for a in views(start, shapes)]
    optimiser = torch.optim.Adam(parts, lr=0.03, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, 30)
    for _ in range(30):
        optimiser.zero_grad()
        torch_loss(parts, x, y, P).backward()
        optimiser.step()
        schedule.step()
    np.testing.assert_allclose(
        parameters, np.concatenate([a.detach().numpy().ravel() for a in parts]), atol=1e-9
    )
    assert np.abs(parameters - start).max() > 0.3
