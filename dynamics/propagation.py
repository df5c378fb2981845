"""How a learned model's uncertainty is carried along a horizon (Chua et al. 2018, section 4).

    mean      one trajectory: the predicted mean is taken as the next state
    sample    each particle draws x' from the model's whole distribution, anew in each step
    ts1       each particle goes through a member of the ensemble that is drawn anew in each step
    tsinf     ... through one and the same member
    moment    as ts1, and after each step the particles are drawn anew from the normal that has their mean and variances

With members, all action sequences meet the same noise, so that what ranks them is themselves: with
5 particles, noise of their own would bury small differences. `mean` and `sample` serve every
`Model`; the others need members. With `ts1` each member serves equally many particles of a sequence
in every step, as in the paper's code.
"""

import numpy as np

from lqr import InputError

from .asking import predict, sample
from .base import Array, Model
from .networks.base import MLPEnsemble
from .networks.ensemble import Ensemble
from .networks.fused_forward import advance, advance_mean, fuse

PROPAGATIONS = ("mean", "sample", "ts1", "tsinf", "moment")
MEMBERS = ("ts1", "tsinf", "moment")


def propagate(
    model: Model,
    x0: Array,
    U: Array,
    rng: np.random.Generator,
    propagation: str = "ts1",
    particles: int = 20,
) -> Array:
    """Returns states (N, P, H+1, dx) from x0 (dx,) under the action sequences U (N, H, du).

    Raises InputError for an unknown word, for a word that the model cannot serve, where `particles`
    is no multiple of the number of members, and for networks before the first fit, or of states and
    actions of another size.
    """
    if propagation not in PROPAGATIONS:
        raise InputError(
            f"propagation is {propagation!r}; expected one of {', '.join(PROPAGATIONS)}"
        )
    if isinstance(model, MLPEnsemble):  # the kernels do not look
        model.known(np.broadcast_to(x0, (*U.shape[:2], *np.shape(x0))), U)
    if propagation in MEMBERS:
        if not isinstance(model, Ensemble):
            raise InputError(
                f"{propagation!r} needs an ensemble, got {type(model).__name__}; expected mean or sample"
            )
        return _through_members(model, x0, U, rng, propagation, particles)
    if propagation == "mean" and particles != 1:
        raise InputError(f"got {particles} particles; expected 1: the mean is one trajectory")
    if propagation == "mean" and isinstance(model, MLPEnsemble):
        return _mean(model, x0, U)
    N, H = U.shape[:2]
    X = np.empty((N, particles, H + 1, len(x0)))
    X[:, :, 0] = x0
    for t in range(H):
        u = np.broadcast_to(U[:, None, t], (N, particles, U.shape[-1]))
        x = X[:, :, t]
        X[:, :, t + 1] = (
            predict(model, x, u).mean if propagation == "mean" else sample(model, x, u, rng)
        )
    return X


def _mean(model: MLPEnsemble, x0: Array, U: Array) -> Array:
    """The mean of the members' means, of networks."""
    N, H = U.shape[:2]
    X, net = np.empty((N, 1, H + 1, len(x0))), fuse(model)
    X[:, :, 0] = x0
    advance_mean(X, np.ascontiguousarray(U), *net[:5])
    return X


def _through_members(
    model: Ensemble, x0: Array, U: Array, rng: np.random.Generator, propagation: str, P: int
) -> Array:
    E, (N, H), dx = model.members_, U.shape[:2], len(x0)
    if P < 1 or P % E:
        raise InputError(
            f"got {P} particles for {E} members; expected a multiple, so that each serves as many"
        )
    U, X, net = np.ascontiguousarray(U), np.empty((N, P, H + 1, dx)), fuse(model)
    X[:, :, 0] = x0
    noise = rng.standard_normal((H, P, dx), dtype=np.float32)
    member = np.tile(np.arange(P) // (P // E), (H, 1))
    if propagation != "tsinf":
        member = rng.permuted(member, axis=1)
    if propagation != "moment":
        advance(X, U, 0, H, member, noise, *net)
        return X
    for t in range(H):
        advance(X, U, t, t + 1, member, noise, *net)
        cloud = X[:, :, t + 1]
        cloud[:] = cloud.mean(1, keepdims=True) + cloud.std(1, keepdims=True) * rng.standard_normal(
            (P, dx)
        )
    return X
