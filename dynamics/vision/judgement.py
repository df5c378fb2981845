"""How good codes are: without labels by what they explain, and what labels a linear read-out tells.

Plain explained variance does not see that a small thing was lost. So the weighted one is told, one
number for each direction of colour, whether any number of the code has collapsed, and whether the
code is Markov: how much better the next code is told by this one, the one before and the action
than by this one and the action.
"""

from typing import Any, NamedTuple

import numpy as np

from .encoder import Clips, Trained
from .painting import halved

Array = np.ndarray
RIDGE = 1e-4  # of the read-out, as a share of the codes' variance


class Readout(NamedTuple):
    """A linear map of codes to labels."""

    matrix: Array  # (d, labels)
    offset: Array  # (labels,)

    def __call__(self, codes: Array) -> Array:
        """Returns labels (..., labels) of codes (..., d)."""
        return codes @ self.matrix + self.offset


def read_out(codes: Array, labels: Array, ridge: float = RIDGE) -> Readout:
    """Returns the linear map of codes (M, d) to labels (M, dl) of least squares, with a ridge."""
    centre, middle = codes.mean(0), labels.mean(0)
    Z, Y = codes - centre, labels - middle
    gram = Z.T @ Z + ridge * np.trace(Z.T @ Z) / len(Z.T) * np.eye(len(Z.T))
    matrix = np.linalg.solve(gram, Z.T @ Y)
    return Readout(matrix, middle - centre @ matrix)


def principal(codes: Array, share: float = 0.999, count: int | None = None) -> Readout:
    """Returns the first principal components of codes (M, d): so many, or those that hold such a
    share of the variance, in the codes' own unit.
    """
    centre = codes.mean(0)
    values, vectors = np.linalg.eigh(np.atleast_2d(np.cov(codes.T, bias=True)))
    values, vectors = values[::-1], vectors[:, ::-1]
    if count is None:
        held = np.cumsum(values) / values.sum()
        count = min(int(np.searchsorted(held, share)) + 1, len(values))
    matrix = vectors[:, :count].copy()
    return Readout(matrix, -centre @ matrix)


def r_squared(told: Array, labels: Array) -> Array:
    """Returns the share of each label's variance that is told, (dl,)."""
    return 1 - ((told - labels) ** 2).mean(0) / labels.var(0)


class Explained(NamedTuple):
    """Shares of the variance of white pictures that a decoder paints."""

    plain: float
    weighted: float  # where rare colours weigh more
    by_colour: Array  # (c,), weighted, of each direction of white colour


def explained(encoder: Trained, pictures: Array) -> Explained:
    """Returns what an encoder with a decoder explains of pictures (M, h, w, c) of bytes. The weights
    are those of rare colours, whatever it was trained with.
    """
    import torch

    from ..networks.modules import part, to_tensors
    from .colours import colours_of, rarity_of

    assert encoder.colours is not None
    params = to_tensors(part(encoder.params, "objective"))
    with torch.inference_mode():
        z = torch.as_tensor(encoder(pictures), dtype=torch.float32)
        painted = encoder.objective.decoder(params, z).numpy()
    seen = halved(encoder.colours.white(pictures))
    judged = colours_of(pictures)
    back = judged.whiten @ np.linalg.inv(encoder.colours.whiten)
    gap, seen = (painted - seen) @ back.T, halved(judged.white(pictures))
    weight = rarity_of(seen).weights(seen)[..., None]
    lost, there = ((weight * a**2).mean((0, 1, 2)) for a in (gap, seen))
    return Explained(
        float(1 - (gap**2).mean() / (seen**2).mean()),
        float(1 - lost.sum() / there.sum()),
        1 - lost / there,
    )


def spread(codes: Array) -> tuple[Array, float]:
    """Returns the standard deviation of each number of codes (M, d), and their effective dimension:
    the exponential of the entropy of their principal components' shares.
    """
    values = np.maximum(np.linalg.eigvalsh(np.atleast_2d(np.cov(codes.T, bias=True))), 0)
    share = values / max(values.sum(), 1e-300)
    share = share[share > 0]
    return codes.std(0), float(np.exp(-(share * np.log(share)).sum()))


def memory_share(codes: Array, u: Array) -> float:
    """Returns which share of what this code and action do not tell of the next code is told by the
    code before as well, of codes (N, T+1, d) and actions (N, T, du): 0 where the code is Markov, by
    linear read-outs, judged on every second clip.
    """
    now, before = codes[:, 1:-1], codes[:, :-2]
    after = codes[:, 2:]
    errors = []
    for parts in ((now, u[:, 1:]), (now, before, u[:, 1:])):
        seen = np.concatenate(parts, -1)
        learn, test = (a.reshape(-1, a.shape[-1]) for a in (seen[::2], seen[1::2]))
        told = read_out(learn, after[::2].reshape(-1, codes.shape[-1]), 1e-8)(test)
        errors.append(((told - after[1::2].reshape(told.shape)) ** 2).sum())
    return float(1 - errors[1] / max(errors[0], 1e-300))


def neighbours_error(codes: Array, labels: Array, k: int = 5) -> float:
    """Returns the mean squared distance of the labels (M, dl) of pictures to those of the k nearest
    by their codes (M, d), as a share of the labels' variance (Lesort et al. 2017).
    """
    square = (codes**2).sum(1)
    far = square[:, None] + square - 2 * codes @ codes.T
    np.fill_diagonal(far, np.inf)
    near = np.argpartition(far, k, 1)[:, :k]
    gap = labels[near] - labels[:, None]
    return float((gap**2).sum(-1).mean() / labels.var(0).sum())


def untrained(encoder: Trained, clips: Clips, rng: np.random.Generator) -> Any:
    """Returns the same encoder as it is before any training."""
    from copy import copy

    other = copy(encoder)
    other.begin(clips, rng)
    return other
