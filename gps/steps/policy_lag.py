"""Does the policy keep up with its teachers? Where it does not, it is said, and something may be
done about it.

The controllers improve within a step of epsilon nats per trajectory. The policy imitates them up to
KL(p || pi); as long as that is not much more than a step, what they gained is not lost (Montgomery
& Levine 2016, section 4). It *lags* where the divergence, mean of the conditions, exceeds
`lag_limit` steps. While it does, `on_lag` says what happens:
`warn` nothing more, `train` twice the regression's steps, `slow` half the KL step, so that it can
catch up. The first iterations of a good run may lag, as the controllers learn fastest then, and a
policy may do as well by other means: a warning comes only where it lasts and the policy costs more
than its controllers.
"""

import warnings

import numpy as np

from lqr import TrajectoryDistribution, forward

from . import trajectory_step as lc
from .local_policies import Known
from .settings import Neural

Array = np.ndarray
PATIENCE = 3  # iterations in a row that lag before it is said
DEARER = 0.1  # share of the controllers' cost by which the policy's must be above it


class Imitation:
    """Whether the policy lagged in the last iteration, and what follows from it."""

    def __init__(self, config: Neural, row: int = 0):
        self.config, self.row = config, row  # how many iterations in a row lag
        self.said = False  # of these

    @property
    def lagging(self) -> bool:
        """Whether the policy lagged in the last iteration."""
        return self.row > 0

    @property
    def steps(self) -> int:
        """Minibatch steps of the next regression."""
        return self.config.policy_steps * (
            2 if self.lagging and self.config.on_lag == "train" else 1
        )

    @property
    def pace(self) -> float:
        """The share of a KL step that is taken: half where the policy has to catch up."""
        return 0.5 if self.lagging and self.config.on_lag == "slow" else 1.0

    def paced(self, known: Known) -> Known:
        """Returns what was learned with a step of this pace."""
        return known if self.pace == 1.0 else known._replace(epsilon=self.pace * known.epsilon)

    def report(
        self, gap: Array, kl: Array, epsilon: Array, costs: tuple[float, float] | None = None
    ) -> dict[str, float]:
        """Returns the metrics of imitation, from the gap of the mean actions (C, T, du), KL(p ||
        pi) (C, T) and the steps epsilon (C,). Warns once of each time that the policy lags for
        PATIENCE iterations in a row and, where the `costs` of controllers and policy are told, is
        dearer."""
        total, limit = float(kl.sum(-1).mean()), self.config.lag_limit * float(epsilon.mean())
        self.row = self.row + 1 if total > limit else 0
        self.said = self.said and self.lagging
        dearer = costs is None or costs[1] - costs[0] > DEARER * abs(costs[0])
        if self.row >= PATIENCE and dearer and not self.said:
            self.said = True
            done = {
                "warn": "",
                "train": "; it is trained twice as long meanwhile",
                "slow": "; the KL step is halved meanwhile",
            }
            warnings.warn(
                f"for {self.row} iterations the policy has lagged behind its controllers, now by {total:.3g} nats, "
                f"above {self.config.lag_limit:g} KL steps{done[self.config.on_lag]}. Harmless while policy_cost "
                "falls; else raise --policy-steps or --hidden, or take --on-lag train",
                stacklevel=3,
            )
        gap_size = float(np.sqrt((gap**2).mean()))
        return {"policy_kl": total, "policy_gap": gap_size, "lagging": float(self.lagging)}


def within_reach(x: Array, known: Known, radius: float) -> Array:
    """Returns which states (C, N, T, dx) lie in the trust region about the forecast trajectories, 1
    or 0, (C, N, T).

    That of a step: a root mean square of at most `radius` standard deviations from the mean. (Where
    controllers of long ago went, the present ones would be taken at their word far from all that
    they were made for.)
    """
    local, dx = known.local, x.shape[-1]
    ahead: TrajectoryDistribution = forward(local.controller, known.dynamics, lc.start(local))
    mean, cov = ahead.mean[:, :-1, :dx], ahead.cov[:, :-1, :dx, :dx]
    cov = cov + np.diag(1e-6 * np.maximum(x.var((0, 1, 2)), 1e-12))
    gap = np.swapaxes(x - mean[:, None], 1, 2)  # (C, T, N, dx)
    square = (gap * np.swapaxes(np.linalg.solve(cov, np.swapaxes(gap, -1, -2)), -1, -2)).sum(
        -1
    ) / dx
    return np.swapaxes(square <= radius**2, 1, 2).astype(float)
