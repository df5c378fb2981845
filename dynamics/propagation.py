"""How a learned model's uncertainty is carried along a horizon (Chua et al. 2018, section 4).

    mean      one trajectory: the predicted mean is taken as the next state
    sample    each particle draws x' from the model's whole distribution, anew in each step
    ts1       each particle goes through a member of the ensemble that is drawn anew in each step
    tsinf     ... through one and the same member
    moment    as ts1, and after each step the particles are drawn anew from the normal that has their mean and variances

With members, all action sequences meet the same noise, so that what ranks them is themselves: with 5 particles, noise
of their own would bury small differences. `mean` and `sample` serve every `Model`; the others need members. With `ts1`
each member serves equally many particles of a sequence in every step, as in the paper's code.
"""

from typing import Any

import numpy as np

from lqr import InputError

from .ensemble import Ensemble
from .model import Array, Model
from .perceptrons import Perceptrons, one_thread
from .stepper import stepper

PROPAGATIONS = ("mean", "sample", "ts1", "tsinf", "moment")
MEMBERS = ("ts1", "tsinf", "moment")


def propagate(
    model: Model, x0: Array, U: Array, rng: np.random.Generator, propagation: str = "ts1", particles: int = 20
) -> Array:
    """Returns states (N, P, H+1, dx) from x0 (dx,) under the action sequences U (N, H, du).

    Raises InputError for an unknown word, for a word that the model cannot serve, and where `particles` is no multiple
    of the number of members.
    """
    if propagation not in PROPAGATIONS:
        raise InputError(f"propagation is {propagation!r}; expected one of {', '.join(PROPAGATIONS)}")
    if propagation in MEMBERS:
        if not isinstance(model, Ensemble):
            raise InputError(f"{propagation!r} needs an ensemble, got {type(model).__name__}; expected mean or sample")
        return _through_members(model, x0, U, rng, propagation, particles)
    if propagation == "mean" and particles != 1:
        raise InputError(f"got {particles} particles; expected 1: the mean is one trajectory")
    if propagation == "mean" and isinstance(model, Perceptrons):
        return _mean(model, x0, U)
    N, H = U.shape[:2]
    X = np.empty((N, particles, H + 1, len(x0)))
    X[:, :, 0] = x0
    for t in range(H):
        u = np.broadcast_to(U[:, None, t], (N, particles, U.shape[-1]))
        x = X[:, :, t]
        X[:, :, t + 1] = model.predict(x, u).mean if propagation == "mean" else model.sample(x, u, rng)
    return X


def _mean(model: Perceptrons, x0: Array, U: Array) -> Array:
    """The mean of the members' means, of networks: in single precision."""
    import torch

    with one_thread(), torch.inference_mode():
        step, E, (N, H, du), dx = stepper(model), model.members_, U.shape, len(x0)
        u = torch.as_tensor(np.ascontiguousarray(U.transpose(1, 2, 0)), dtype=torch.float32)
        X, z = torch.empty((H + 1, dx, N)), torch.empty((E, dx + du, N))
        X[0] = torch.as_tensor(x0, dtype=torch.float32)[:, None]
        for t in range(H):
            z[:, :dx], z[:, dx:] = X[t], u[t]
            torch.add(X[t], step(z)[0][:, :dx].mean(0), out=X[t + 1])
        return _doubled(X.permute(2, 0, 1))[:, None]


def _through_members(model: Ensemble, x0: Array, U: Array, rng: np.random.Generator, propagation: str, P: int) -> Array:
    """Column n k + i of member e is particle e k + i of sequence n, with P = E k: one product per layer for all."""
    import torch

    E, (N, H, du), dx = model.members_, U.shape, len(x0)
    if P < 1 or P % E:
        raise InputError(f"got {P} particles for {E} members; expected a multiple, so that each serves as many")
    k = P // E
    with one_thread(), torch.inference_mode():
        step = stepper(model)
        u = torch.as_tensor(np.repeat(U.transpose(1, 2, 0), k, axis=2), dtype=torch.float32)
        X, z = torch.empty((H + 1, E, dx, N * k)), torch.empty((E, dx + du, N * k))
        X[0] = torch.as_tensor(x0, dtype=torch.float32)[:, None]
        noise = torch.as_tensor(rng.standard_normal((H, E, dx, 1, k), dtype=np.float32))
        for t in range(H):
            now, order = X[t], None
            if propagation != "tsinf" and E > 1:
                order = torch.as_tensor(np.argsort(rng.random((1, P), dtype=np.float32), axis=1)).expand(dx, N, P)
                now = _apart(_together(now, N).gather(2, order), E)
            z[:, :dx], z[:, dx:] = now, u[t]
            change, std = step(z)
            after = torch.add(now, change, out=X[t + 1])
            after.view(E, dx, N, k).addcmul_(std.view(E, dx, N, k), noise[t])
            if propagation == "moment":
                cloud, fresh = _together(after, N), rng.standard_normal((dx, 1, P), dtype=np.float32)
                spread = cloud.std(2, keepdim=True, correction=0)
                X[t + 1] = _apart(cloud.mean(2, keepdim=True) + spread * torch.as_tensor(fresh), E)
            elif order is not None:  # back to where the particles were
                X[t + 1] = _apart(torch.empty((dx, N, P)).scatter_(2, order, _together(after, N)), E)
        return _doubled(X.view(H + 1, E, dx, N, k).permute(3, 1, 4, 0, 2)).reshape(N, P, H + 1, dx)


def _together(x: Any, N: int) -> Any:
    """(E, dx, N k) -> (dx, N, E k)."""
    E, dx, _ = x.shape
    return x.view(E, dx, N, -1).permute(1, 2, 0, 3).reshape(dx, N, -1)


def _apart(x: Any, E: int) -> Any:
    """(dx, N, E k) -> (E, dx, N k)."""
    dx, N, _ = x.shape
    return x.view(dx, N, E, -1).permute(2, 0, 1, 3).reshape(E, dx, -1)


def _doubled(x: Any) -> Array:
    """Returns a contiguous float64 array."""
    import torch

    return torch.empty(x.shape, dtype=torch.float64).copy_(x).numpy()
