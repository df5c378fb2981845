"""Settings that several methods share.

A method's Config inherits the groups that it uses and adds its own fields.
"""

from dataclasses import dataclass
from typing import Annotated, Literal

from agents.policies import POLICIES
from agents.settings import (
    Count,
    Counts,
    EvaluationSettings,
    NotNegative,
    Positive,
    Settings,
    Share,
    Whole,
    or_object,
    word_of,
)
from dynamics import PRIORS
from lqr import InputError


@dataclass(frozen=True)
class EpisodeSettings(EvaluationSettings):
    """Settings of episodes, and of the step of each condition's controller."""

    iterations: Count = 25  # rounds of episodes and updates
    samples: Count = 2  # episodes of each condition in each iteration
    # nats per trajectory, the first step; adapted per condition from then on
    kl_step: Positive = 10.0
    max_kl_step: Positive = 200.0  # nats per trajectory, the largest step
    initial_std: Positive = 0.01  # exploration at the start, as a share of half the action range
    # a few episodes find how much larger than that it should be, up to max_std
    probe: bool = True
    min_std: Positive = 0.01  # exploration never falls below this, same unit
    max_std: Positive = 0.3  # exploration never grows beyond this, same unit
    # share of a larger or smaller step that exploration takes, the rest is the KL bound's
    std_share: Share = 0.5
    smoothing: NotNegative = 0.0  # steps over which the controllers' noise is smoothed; 0: white
    # the first controllers: zero, hold (the start), pd (to a target), lqr (a double integrator), or
    # the best of the first three, by an episode of each of the probe; without it: zero
    initial: Literal["best", "zero", "hold", "pd", "lqr"] = "best"
    # of hold and pd: half action ranges per unit of position; of lqr: cost, see there
    initial_stiffness: Positive = 0.5
    # of hold and pd: half action ranges per unit of velocity; of lqr: cost, see there
    initial_damping: Positive = 0.1
    # of lqr: acceleration that half the action range is guessed to give
    initial_authority: Positive = 100.0
    antithetic: bool = False  # episodes of a condition come in pairs whose noise has opposite signs

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.kl_step > self.max_kl_step:
            raise InputError(
                f"kl_step is {self.kl_step!r}; expected at most max_kl_step = {self.max_kl_step!r}"
            )


@dataclass(frozen=True)
class LocalSettings(EpisodeSettings):
    """Settings of a method that fits local models."""

    # prior global model: flat, gmm, previous, simulator, nn, ensemble, gp; in Python also an object
    prior: Annotated[str, word_of(PRIORS), or_object] = "gmm"
    # pseudo-samples behind the prior; None lets the data choose
    prior_strength: Positive | None = None


@dataclass(frozen=True)
class RestartSettings(Settings):
    """Settings of conditions that are stuck."""

    # times that a condition which stands still tries the controller of another, where that would
    # cost less by the cost of its episodes; 0: never
    restarts: Whole = 0


@dataclass(frozen=True)
class PolicySettings(Settings):
    """Settings of the global policy, which is trained on all controllers."""

    # mlp, mlp_std (learns its covariance), recurrent (has memory), convolutional (sees a picture)
    policy: Annotated[str, word_of(POLICIES)] = "mlp"
    hidden: Counts = (64, 64)  # units of the policy's hidden layers
    policy_steps: Count = 500  # minibatch steps of each regression
    policy_rate: Positive = 3e-3  # Adam's learning rate at the start of each regression
    replay: Count = 5  # iterations whose episodes the regression sees
    # standard deviations from the trajectories beyond which old states are left out; None: nowhere
    replay_radius: Positive | None = None
    # KL steps that the policy may differ from its controllers before it counts as lagging
    policy_kl_limit: Positive = 3.0
    # above that limit: warn, train (twice the regression's steps), slow (half the KL step)
    lag_response: Literal["warn", "train", "slow"] = "warn"
    # of the policy along the episodes, by: regression, mixture (as its prior), jacobian
    linearisation: Literal["regression", "mixture", "jacobian"] = "regression"
