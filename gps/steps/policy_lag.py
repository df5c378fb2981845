"""The policy lag monitor: does the global policy keep up with its controllers?

The controllers improve within a step of epsilon nats per trajectory. The policy imitates them up to
KL(p || pi). While that is not much more than a step, their improvement is not lost (Montgomery &
Levine 2016, section 4). The policy *lags* where this KL, mean of the conditions, exceeds
`policy_kl_limit` steps. `lag_response` says what happens then: `warn` nothing more, `train` twice
the regression's steps, `slow` half the KL step. The first iterations of a good run may lag, as the
controllers learn fastest then, and a policy may do as well by other means. So a warning comes only
after several such iterations in a row, and only where the policy costs more than its controllers.
"""

import warnings

import numpy as np

from .local_policies import LocalFit
from .settings import PolicySettings

Array = np.ndarray
PATIENCE = 3  # iterations in a row above the limit before the warning
MARGIN = 0.1  # share of the controllers' cost by which the policy's must be above it


class PolicyLag:
    """Whether the policy lagged in the last iteration, and what follows from it."""

    def __init__(self, config: PolicySettings, count: int = 0):
        self.config = config
        self.count = count  # iterations in a row above the limit
        self.warned = False  # about these

    @property
    def above_limit(self) -> bool:
        """Whether the policy's KL was above the limit in the last iteration."""
        return self.count > 0

    @property
    def policy_steps(self) -> int:
        """Minibatch steps of the next regression."""
        longer = self.above_limit and self.config.lag_response == "train"
        return self.config.policy_steps * (2 if longer else 1)

    @property
    def step_scale(self) -> float:
        """The factor on the KL step: one half where the policy has to catch up."""
        return 0.5 if self.above_limit and self.config.lag_response == "slow" else 1.0

    def scaled(self, fit: LocalFit) -> LocalFit:
        """Returns the fit with its KL step times `step_scale`."""
        if self.step_scale == 1.0:
            return fit
        return fit._replace(epsilon=self.step_scale * fit.epsilon)

    def report(
        self, gap: Array, kl: Array, epsilon: Array, costs: tuple[float, float] | None = None
    ) -> dict[str, float]:
        """Returns the metrics of imitation, from the gap of the mean actions (C, T, du), KL(p ||
        pi) (C, T) and the steps epsilon (C,).

        Warns once each time that the policy lags for PATIENCE iterations in a row and, where the
        `costs` of controllers and policy are given, costs more than they do.
        """
        total = float(kl.sum(-1).mean())
        limit = self.config.policy_kl_limit * float(epsilon.mean())
        self.count = self.count + 1 if total > limit else 0
        self.warned = self.warned and self.above_limit
        worse = costs is None or costs[1] - costs[0] > MARGIN * abs(costs[0])
        if self.count >= PATIENCE and worse and not self.warned:
            self.warned = True
            self._warn(total)
        return {
            "policy_kl": total,
            "policy_gap": float(np.sqrt((gap**2).mean())),
            "policy_kl_above_limit": float(self.above_limit),
        }

    def _warn(self, total: float) -> None:
        response = {
            "warn": "",
            "train": "; its regression takes twice the steps meanwhile",
            "slow": "; the KL step is halved meanwhile",
        }
        warnings.warn(
            f"for {self.count} iterations the policy has lagged behind its controllers, now by {total:.3g} nats, "
            f"above {self.config.policy_kl_limit:g} KL steps{response[self.config.lag_response]}. Harmless while "
            "policy_cost falls; else raise --policy-steps or --hidden, or take --lag-response train",
            stacklevel=4,
        )
