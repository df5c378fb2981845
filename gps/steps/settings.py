"""What the methods' Configs share, and their checks: each field has a rule, a refusal says got and
expected.

A Config inherits the groups of fields that its method uses and names the rules of its own fields in
RULES.
"""

import math
from dataclasses import dataclass
from typing import Any, ClassVar

from agents.policies import POLICIES
from agents.settings import (
    Rule,
    count,
    counts,
    not_negative,
    one_of,
    positive,
    positive_or_none,
    whole,
)
from dynamics import PRIORS
from lqr import InputError

__all__ = [
    "Local",
    "Neural",
    "Rule",
    "Trials",
    "check",
    "count",
    "counts",
    "not_negative",
    "one_of",
    "positive",
    "positive_or_none",
    "whole",
]


def check(config: Any, **rules: Any) -> None:
    """Raises InputError for the first field that breaks its rule, kl_step above max_kl_step, or an
    unknown prior.
    """
    for name, rule in rules.items():
        value = getattr(config, name)
        expected = rule(value)
        if expected:
            raise InputError(f"{name} is {value!r}; expected {expected}")
    first, most = getattr(config, "kl_step", 0.0), getattr(config, "max_kl_step", math.inf)
    if first > most:
        raise InputError(f"kl_step is {first!r}; expected at most max_kl_step = {most!r}")
    prior = getattr(config, "prior", None)
    if isinstance(prior, str) and prior not in PRIORS:
        raise InputError(f"prior is {prior!r}; expected one of {', '.join(PRIORS)}")


@dataclass(frozen=True)
class Trials:
    """Settings of every method: trials, and the step of each condition's controller."""

    iterations: int = 25  # rounds of trials
    samples: int = 2  # trials of each condition in each iteration
    kl_step: float = 10.0  # nats per trajectory, the first step; adapted per condition from then on
    max_kl_step: float = 200.0  # nats per trajectory, the largest step
    initial_std: float = 0.01  # exploration at the start, as a share of half the action range
    min_std: float = 0.01  # exploration never falls below this, same unit
    smoothing: float = 0.0  # steps over which the controllers' noise is smoothed; 0: white
    initial: str = "zero"  # the first controllers: zero, hold (the start), pd (to a target), lqr (a double integrator)
    # of hold and pd: half action ranges per unit of position; of lqr: cost, see there
    initial_stiffness: float = 0.5
    # of hold and pd: half action ranges per unit of velocity; of lqr: cost, see there
    initial_damping: float = 0.1
    # of lqr: acceleration that half the action range is guessed to give
    initial_authority: float = 100.0
    antithetic: bool = False  # trials of a condition come in pairs whose noise has opposite signs

    RULES: ClassVar[dict[str, Rule]] = {
        "smoothing": not_negative,
        "initial": one_of("zero", "hold", "pd", "lqr"),
        **dict.fromkeys(("initial_stiffness", "initial_damping", "initial_authority"), positive),
        **{"iterations": count, "samples": count, "kl_step": positive, "max_kl_step": positive},
        **{"initial_std": positive, "min_std": positive},
    }

    def __post_init__(self) -> None:
        check(
            self,
            **{
                k: v
                for base in reversed(type(self).__mro__)
                for k, v in vars(base).get("RULES", {}).items()
            },
        )


@dataclass(frozen=True)
class Local(Trials):
    """Settings of a method that fits local models."""

    prior: str = "gmm"  # prior global model: flat, gmm, previous, simulator, nn, ensemble, gp
    # pseudo-samples behind the prior; None lets the data choose
    prior_strength: float | None = None

    RULES: ClassVar[dict[str, Rule]] = {"prior_strength": positive_or_none}


@dataclass(frozen=True)
class Neural:
    """Settings of one neural policy that is trained on all controllers."""

    policy: str = "mlp"  # mlp, mlp_std (tells how sure it is), recurrent (remembers), convolutional (sees a picture)
    hidden: tuple[int, ...] = (64, 64)  # units of the policy's hidden layers
    policy_steps: int = 500  # minibatch steps of each regression
    policy_rate: float = 3e-3  # Adam's learning rate at the start of each regression
    replay: int = 5  # iterations whose trials the regression sees
    # standard deviations off the trajectories, where replay ends; None: nowhere
    replay_radius: float | None = None
    # KL steps that the policy may differ from its controllers before it counts as lagging
    lag_limit: float = 3.0
    # what is done while it lags: warn, train (twice the steps), slow (half the KL step)
    on_lag: str = "warn"
    # the policy along the trials by: regression, mixture (as its prior), jacobian
    linearisation: str = "regression"

    RULES: ClassVar[dict[str, Rule]] = {
        **{"hidden": counts, "policy_steps": count, "policy_rate": positive, "replay": count},
        "policy": lambda word: one_of(*POLICIES)(word),
        **{
            "replay_radius": positive_or_none,
            "lag_limit": positive,
            "on_lag": one_of("warn", "train", "slow"),
        },
        "linearisation": one_of("regression", "mixture", "jacobian"),
    }
