"""Before anything is learned: a few episodes choose the first controllers, and the size of their
noise.

    start   one noise-free episode of each initial controller that the task allows; the one of
            lowest cost is taken
    noise   pairs of episodes with opposite noise, from the smallest size upward, while it pays:
            sqrt(2 epsilon) L - |Q|,   L = sum_t |c+_t - c-_t| / 2,   Q = sum_t (c+_t + c-_t) / 2 - c_t

A step of epsilon nats moves the mean action by up to sqrt(2 epsilon) standard deviations of the
noise, and so, to first order, the cost by up to sqrt(2 epsilon) L. Q is what the noise itself
costs, or saves where the controller stands badly: in both cases a linear model knows nothing of it.
Noise that is too large for the task bends the cost more than a step could gain, noise that is too
small shows nothing that a step could follow. Q and L are differences of costs, so neither a constant
in the cost nor the units of actions, states and cost matter.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from agents.interfaces import Task
from agents.rollout import Trajectories
from agents.tasks.capabilities import Joints, JointTarget, capability, manifold_of
from lqr import LinearGaussianController

from .local_data import cost_scale

Array = np.ndarray
FACTOR = 10**0.5  # from one size of the noise to the next
BENT = 0.5  # of L, the most that |Q| may be
ADVANTAGE = 0.02  # of the cost's variation, by which another start than zero must be better

# a controller, its noise as a share of half the action range, and the sign of the noise, 0 for none
# -> an episode of each probed condition. All have the same starts and, but for its size, the same
# noise: what differs is what the noise does.
Run = Callable[[LinearGaussianController, float, int], Trajectories]


class Probe(NamedTuple):
    """What was found."""

    initial: str  # the word of the first controllers
    std: float  # their noise, as a share of half the action range
    gain: (
        Array  # (M,), sqrt(2 epsilon) L - |Q| of each size that was tried, mean over the conditions
    )


def candidates(task: Task) -> tuple[str, ...]:
    """Returns the words of the initial controllers that a task allows; zero comes first."""
    if capability(task, Joints) is None or manifold_of(task):
        return ("zero",)
    return ("zero", "hold") if capability(task, JointTarget) is None else ("zero", "hold", "pd")


def probed_conditions(task: Task) -> Array:
    """Returns the conditions whose episodes are tried: one in ten, evenly spaced."""
    count = max(1, task.conditions // 10)
    return np.linspace(0, task.conditions - 1, count).round().astype(int)


def probe(
    controllers: dict[str, LinearGaussianController],
    run: Run,
    least: float,
    most: float,
    epsilon: float,
) -> Probe:
    """Returns the best of the initial controllers, by their words, and the size of the noise from
    `least` to `most` that pays most for a step of epsilon nats.

    The noise grows until the next size pays less, bends the cost, or lets an episode diverge.
    """
    quiet = {word: run(controller, least, 0) for word, controller in controllers.items()}
    zero, *others = quiet
    word, best, variation = zero, mean_cost(quiet[zero]), scale_of(quiet[zero])
    for other in others:
        cost = mean_cost(quiet[other])
        needed = ADVANTAGE * variation if word == zero and np.isfinite(best) else 0.0
        if cost < best - needed:
            word, best = other, cost
    base = quiet[word].cost
    sizes, gains = [least], []
    while True:
        plus, minus = (run(controllers[word], sizes[-1], sign) for sign in (1, -1))
        gains.append(gain(plus, minus, base, epsilon))
        if gains[-1] < max(gains) or gains[-1] == -np.inf or sizes[-1] >= most:
            break
        sizes.append(min(sizes[-1] * FACTOR, most))
    return Probe(word, sizes[int(np.argmax(gains))], np.array(gains))


def gain(plus: Trajectories, minus: Trajectories, base: Array, epsilon: float) -> float:
    """Returns sqrt(2 epsilon) L - |Q| of episodes with opposite noise, mean over the conditions, with
    the costs `base` (C, T+1) of those without; minus infinity where one diverged, and where |Q| is
    more than `BENT` L: the cost then bends more than a linear step could follow.
    """
    if (plus.failed | minus.failed).any():
        return -np.inf
    L = 0.5 * np.abs(plus.cost - minus.cost).sum(-1)
    Q = np.abs((0.5 * (plus.cost + minus.cost) - base).sum(-1))
    if Q.mean() > BENT * L.mean():
        return -np.inf
    return float((np.sqrt(2 * epsilon) * L - Q).mean())


def mean_cost(quiet: Trajectories) -> float:
    """Returns the mean cost of noise-free episodes; infinite where one diverged."""
    return float(np.where(quiet.failed, np.inf, quiet.cost.sum(-1)).mean())


def scale_of(quiet: Trajectories) -> float:
    """Returns the size of the costs of episodes of the same length or shorter, see `cost_scale`."""
    taken = np.pad(quiet.mask, ((0, 0), (0, 1)))
    return float(cost_scale(quiet.cost[None], taken[None])[0])
