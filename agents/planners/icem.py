"""iCEM: the cross-entropy method with coloured noise, memory and a shrinking population.

Pinneri, Sawant, Blaes, Achterhold, Stueckler, Rolinek & Martius, Sample-efficient Cross-Entropy
Method for Real-time Planning (2020), algorithm 1. Noise with the spectrum 1/f^colour along time
moves an arm farther than white noise; elites are kept from one iteration, and shifted from one
step, to the next; the last iteration evaluates the mean too, and the best sequence of all is
carried out.
"""

from dataclasses import dataclass

import numpy as np

from ..settings import Count, NotNegative, Positive, Settings, Share
from .base import Array, Objective, Plan, SearchLog, box, evaluate, first, lowest


@dataclass(frozen=True)
class ICEM(Settings):
    """Carries out the best sequence; keeps the mean, and a share of the elites behind it."""

    samples: Count = 40  # action sequences in the first iteration
    elites: Count = 10  # of lowest cost
    iterations: Count = 3  # draws and refits at each step
    # each iteration has this factor fewer sequences, and at least twice the elites
    shrink: Positive = 1.25
    colour: NotNegative = 2.0  # exponent of the noise's spectrum; 0: white
    # of the elites that is kept from iteration to iteration, and from step to step
    share: Share = 0.3
    smoothing: Share = 0.1  # share of the old mean and standard deviation that is kept
    std: Positive = 0.5  # initial standard deviation, as a share of half the range

    def __call__(
        self, objective: Objective, start: Array, low: Array, high: Array, rng: np.random.Generator
    ) -> Plan:
        """Returns the plan; see `Planner`."""
        mean, std, log = first(start, low, high), np.empty(np.shape(start)[1:]), SearchLog()
        std[:], kept = self.std * box(start, low, high)[1], np.clip(start[1:], low, high)
        for i in range(self.iterations):
            count = max(round(self.samples * self.shrink**-i), 2 * self.elites)
            noise = coloured(rng, self.colour, (count, *mean.shape))
            last = mean[None] if i == self.iterations - 1 else mean[:0]
            U = np.concatenate(
                [np.clip(mean + std * noise, low, high), kept, last.reshape(-1, *mean.shape)]
            )
            cost = evaluate(objective, U)
            log.add(U, cost)
            elites = U[lowest(cost, self.elites)]
            a = self.smoothing
            mean, std = a * mean + (1 - a) * elites.mean(0), a * std + (1 - a) * elites.std(0)
            kept = elites[: round(self.share * self.elites)]
        return log.plan(log.U, np.concatenate([mean[None], kept]))


def coloured(rng: np.random.Generator, colour: NotNegative, shape: tuple[int, int, int]) -> Array:
    """Returns noise (N, H, du) of unit variance, whose power along H falls as 1 / frequency^colour.

    Timmer & Koenig, On generating power law noise (1995): normal Fourier coefficients, scaled; the
    lowest frequency, 0, has the amplitude of the one above it.
    """
    N, H, du = shape
    if colour == 0 or H < 3:
        return rng.standard_normal(shape)
    frequency = np.fft.rfftfreq(H)
    frequency[0] = frequency[1]
    scale = frequency ** (-0.5 * colour)
    parts = rng.standard_normal((2, N, du, len(scale)))
    spectrum = scale * (parts[0] + 1j * parts[1])
    alone = [0, -1] if H % 2 == 0 else [0]  # these coefficients are real
    spectrum[..., alone] = np.sqrt(2) * spectrum[..., alone].real
    weight = np.full(len(scale), 2.0)
    weight[alone] = 1.0
    variance = 2 * (weight * scale**2).sum() / H**2
    return np.fft.irfft(spectrum, H).swapaxes(1, 2) / np.sqrt(variance)
