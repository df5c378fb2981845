"""Our Adam is torch's to the last bit, without torch's compiler."""

import sys

import numpy as np
import pytest
import torch

from agents.policies.torch_training import minimise
from dynamics import Network
from dynamics.networks.adam import CosineAdam


def trained(optimiser, schedule, parameters, unused):
    """Returns the parameters after 20 steps, in which the third has a gradient or is unused."""
    for step in range(20):
        optimiser.zero_grad()
        loss = (parameters[0] ** 2).sum() + ((parameters[1] - step) ** 4).mean()
        (loss if unused else loss + parameters[2].sin().sum()).backward()
        optimiser.step()
        if schedule:
            schedule.step()
    return [p.detach().numpy() for p in parameters]


@pytest.mark.parametrize("foreach", [False, True])
@pytest.mark.parametrize("decay", [0.0, 0.1])
@pytest.mark.parametrize("unused", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_it_takes_the_steps_of_torch_along_the_cosine(foreach, decay, unused, dtype):
    start = [np.random.default_rng(i).normal(size=(3, 4)) for i in range(3)]
    ours, theirs = (
        [torch.as_tensor(a, dtype=dtype).clone().requires_grad_() for a in start] for _ in range(2)
    )
    adam = torch.optim.Adam(theirs, lr=0.05, weight_decay=decay, foreach=foreach)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(adam, 20)
    wanted = trained(adam, schedule, theirs, unused)
    got = trained(CosineAdam(ours, 0.05, 20, decay, foreach), None, ours, unused)
    for a, b in zip(got, wanted, strict=True):
        assert np.array_equal(a, b)
    assert not np.allclose(got[0], start[0], atol=0.1)
    assert unused == np.array_equal(got[2], start[2].astype(got[2].dtype))


def test_nothing_that_is_trained_loads_torchs_compiler(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch._dynamo", None)  # an import of it raises
    rng = np.random.default_rng(0)
    x, u = rng.normal(size=(30, 2)), rng.normal(size=(30, 1))
    Network((4,), 5).fit(x, u, x + u, rng)
    minimise(lambda P, rows: (P[0] ** 2).sum(), [np.ones(3)], 10, rng, 3, 5, 0.01, 0.0)
    with pytest.raises(ImportError):
        torch.optim.Adam([torch.zeros(1, requires_grad=True)]).step()
