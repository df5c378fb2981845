"""How a learned model's uncertainty is carried along a horizon (Chua et al. 2018, section 4).

    mean      one trajectory: the predicted mean is taken as the next state
    sample    each particle draws x' from the model's whole distribution, anew in each step
    ts1       each particle goes through a member of the ensemble that is drawn anew in each step
    tsinf     ... through one and the same member
    moment    as ts1, and after each step the particles are drawn anew from the normal that has their mean and variances

`mean` and `sample` serve every `Model`; the others need members. With `ts1` each member serves equally many particles
of a sequence in every step, as in the paper's code.
"""

from typing import Any

import numpy as np

from lqr import InputError

from .model import Array, Model

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
        ensemble: Any = model
        if not hasattr(ensemble, "stepper"):
            raise InputError(f"{propagation!r} needs an ensemble, got {type(model).__name__}; expected mean or sample")
        return _through_members(ensemble, x0, U, rng, propagation, particles)
    if propagation == "mean" and particles != 1:
        raise InputError(f"got {particles} particles; expected 1: the mean is one trajectory")
    if propagation == "mean" and hasattr(model, "stepper"):
        return _mean(model, x0, U)
    N, H = U.shape[:2]
    X = np.empty((N, particles, H + 1, len(x0)))
    X[:, :, 0] = x0
    for t in range(H):
        u = np.broadcast_to(U[:, None, t], (N, particles, U.shape[-1]))
        x = X[:, :, t]
        X[:, :, t + 1] = model.predict(x, u).mean if propagation == "mean" else model.sample(x, u, rng)
    return X


def _mean(model: Any, x0: Array, U: Array) -> Array:
    """The mean of the members' means, of networks: in single precision."""
    import torch

    from .perceptrons import one_thread

    with one_thread(), torch.inference_mode():
        step, E, (N, H, _) = model.stepper(), model.members_, U.shape
        u = torch.as_tensor(np.ascontiguousarray(U.swapaxes(0, 1)), dtype=torch.float32).expand(E, H, N, -1)
        X = torch.empty((H + 1, N, len(x0)))
        X[0] = torch.as_tensor(x0, dtype=torch.float32)
        for t in range(H):
            change = step(X[t].expand(E, -1, -1), u[:, t])[0]
            X[t + 1] = X[t] + change.mean(0)
        return X.transpose(0, 1).double().numpy()[:, None]


def _through_members(model: Any, x0: Array, U: Array, rng: np.random.Generator, propagation: str, P: int) -> Array:
    """Rows of a member are contiguous, (E, N k, dx) with P = E k particles: one batch of matrix products per layer."""
    import torch

    from .perceptrons import one_thread

    E, (N, H, _), dx = model.members_, U.shape, len(x0)
    if P < 1 or P % E:
        raise InputError(f"got {P} particles for {E} members; expected a multiple, so that each serves as many")
    k = P // E
    with one_thread(), torch.inference_mode():
        step = model.stepper()
        u = torch.as_tensor(np.repeat(U.swapaxes(0, 1), k, axis=1), dtype=torch.float32).expand(E, H, N * k, -1)
        X = torch.empty((H + 1, E, N * k, dx))  # rows n k + i of member e: particle e k + i of sequence n
        X[0] = torch.as_tensor(x0, dtype=torch.float32)
        noise = torch.as_tensor(rng.standard_normal((H, E, N * k, dx), dtype=np.float32))
        for t in range(H):
            x, back = X[t], None
            if propagation != "tsinf" and E > 1:
                order = torch.as_tensor(np.argsort(rng.random((N, P), dtype=np.float32), axis=1))
                x, back = _apart(_together(x, N).gather(1, order[..., None].expand(-1, -1, dx)), E), order
            change, std = step(x, u[:, t])
            x = x + change + std * noise[t]
            if propagation == "moment":
                cloud = _together(x, N)
                fresh = torch.as_tensor(rng.standard_normal((N, P, dx), dtype=np.float32))
                x = _apart(cloud.mean(1, keepdim=True) + cloud.std(1, keepdim=True, correction=0) * fresh, E)
            elif back is not None:
                whole = torch.empty((N, P, dx))
                x = _apart(whole.scatter_(1, back[..., None].expand(-1, -1, dx), _together(x, N)), E)
            X[t + 1] = x
        return X.reshape(H + 1, E, N, k, dx).permute(2, 1, 3, 0, 4).reshape(N, P, H + 1, dx).double().numpy()


def _together(x: Any, N: int) -> Any:
    """(E, N k, dx) -> (N, E k, dx)."""
    E, rows, dx = x.shape
    return x.reshape(E, N, rows // N, dx).transpose(0, 1).reshape(N, -1, dx)


def _apart(x: Any, E: int) -> Any:
    """(N, E k, dx) -> (E, N k, dx)."""
    N, P, dx = x.shape
    return x.reshape(N, E, P // E, dx).transpose(0, 1).reshape(E, -1, dx)
