"""Cart-pole swing-up with PILCO's constants: a cart, pushed sideways, swings its pole up and
balances it in place.

Cart and pole of 0.5 kg each, a uniform pole of 0.5 m, friction 0.1 Ns/m, force within 10 N; steps
of 0.1 s, episodes of 4 s, starting about rest with the pole hanging (Deisenroth and Rasmussen 2011;
Chatzilygeroudis et al. 2017). The target is the pole's tip 0.5 m above where the cart started.
s = x = [cart (m), its speed, angle (rad), 0 hanging, its speed]; the policy sees [cart, its speed,
cos, sin of the angle, its speed].
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import numpy as np

from lqr.costs import Action, WeightedNorm

from ...settings import Count
from ..base.ode_task import EquationTask
from ..costs.saturating import Saturating
from .pendulum import NOTHING, free_at_first, tip_metrics

Array = np.ndarray

LENGTH, POLE, CART, FRICTION, GRAVITY = 0.5, 0.5, 0.5, 0.1, 9.82  # m, kg, kg, Ns/m, m/s^2


class CartPole(EquationTask):
    """The cost is 1/2 (cart^2 + 0.2 speed^2 + angle from upright^2 + 0.03 spin^2 + 0.003 force^2).

    All but the force counts from about 3.4 s on. What happens before is free: the way up leads away
    from upright first.
    """

    name = "cartpole"
    horizon, dt = 40, 0.1
    dx, du, do = 4, 1, 5
    state_names = ("cart (m)", "cart speed (m/s)", "angle (rad)", "angle speed (rad/s)")
    action_names = ("force (N)",)
    start_std = 0.1  # m, m/s, rad and rad/s
    action_low, action_high = np.array([-10.0]), np.array([10.0])  # N
    width = 0.25  # m, of the published reward
    angles = (2,)  # of x
    constants = MappingProxyType(
        {"pole": POLE, "cart": CART, "length": LENGTH, "friction": FRICTION}
    )

    def __init__(self, conditions: Count = 1, believed: Mapping[str, float] = NOTHING):
        """`believed` are the factors by which `simulator` takes the constants wrong."""
        super().__init__(conditions)
        self.believed = dict(believed)
        upright = np.array([0.0, 0.0, np.pi, 0.0])
        late = free_at_first(self.horizon, 0.85, 0.04)
        self.cost = WeightedNorm([1.0, 0.2, 1.0, 0.03], target=upright, ramp=late) + Action(0.003)

    @property
    def saturating(self) -> Saturating:
        """The published reward, of the tip's place relative to its target."""
        rows = np.array([[1.0, 0.0, 0.0, LENGTH, 0.0], [0.0, 0.0, -LENGTH, 0.0, 0.0]])
        return Saturating(rows, np.array([0.0, -LENGTH]), self.width)

    def starts(self, conditions: Array, rng: np.random.Generator) -> Array:
        """Returns states about rest, normal, (B, 4)."""
        return self.start_std * rng.standard_normal((len(conditions), 4))

    def derivative(
        self,
        s: Array,
        u: Array,
        pole: Any = POLE,
        cart: Any = CART,
        length: Any = LENGTH,
        friction: Any = FRICTION,
    ) -> Array:
        """Returns the derivative of s: the Lagrangian mechanics of a cart with a uniform pole."""
        speed, angle, spin = s[..., 1], s[..., 2], s[..., 3]
        sin, cos = np.sin(angle), np.cos(angle)
        push = u[..., 0] - friction * speed
        pull = pole * length * spin**2 * sin
        mass = 4 * (cart + pole) - 3 * pole * cos**2
        drive = (2 * pull + 3 * pole * GRAVITY * sin * cos + 4 * push) / mass
        turn = (-3 * pull * cos - 6 * (cart + pole) * GRAVITY * sin - 6 * push * cos) / (
            length * mass
        )
        out = np.empty(np.shape(s))
        out[..., 0], out[..., 1], out[..., 2], out[..., 3] = speed, drive, spin, turn
        return out

    def states(self, s: Array) -> Array:
        """Returns a copy of s."""
        return s.copy()

    def see(self, s: Array) -> Array:
        """Returns cart, its speed, cosine and sine of the angle, and its speed, (..., 5)."""
        angle = s[..., 2:3]
        return np.concatenate([s[..., :2], np.cos(angle), np.sin(angle), s[..., 3:]], -1)

    def metrics(self, x: Array, u: Array) -> dict[str, Array]:
        """Returns the tip's final distance (m), whether it stayed within 0.1 m for the last second,
        and the sum of PILCO's and Black-DROPS's reward exp(-distance^2 / (2 width^2)), (N,)
        each."""
        angle = x[..., 2]
        gap = np.stack([x[..., 0] + LENGTH * np.sin(angle), -LENGTH * (1 + np.cos(angle))], -1)
        return tip_metrics(gap, self.width, round(1 / self.dt))
