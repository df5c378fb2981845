"""Swimmers of n links in the plane: swim along x and spend little.

A chain of n links of 1 m and motors in its joints, in a viscous fluid, as Gymnasium's Swimmer,
which has three; joints bend by 100 degrees at most. `links` has three, `links:5` five. Steps of
0.04 s. x = [place of the centre of mass (2, m), angle of each link (n, rad), velocity of the centre
of mass (2, m/s), rates (n, rad/s)], u the motors' torques (n - 1, within +-1, in units of 150 Nm);
the policy sees x without the place. The cost is 1e-4 |u|^2 minus the speed along x.

Every link is a body of `graph`: the same features, whichever link it is, and wherever it lies.
"""

from typing import Any, ClassVar

import numpy as np

from dynamics.graphs.graph import Graph
from lqr.costs import Action, Quadratic

from ...settings import Count
from ..base.mujoco_batch import MujocoBatch
from ..base.mujoco_task import ModelTask

Array = np.ndarray
Tensor = Any
NOISE = 0.1  # rad and rad/s, of the start, uniform
HEAD = """<mujoco model="links">
  <compiler angle="degree" inertiafromgeom="true"/>
  <option timestep="0.01" density="4000" viscosity="0.1" integrator="RK4"/>
  <default>
    <joint armature="0.1"/>
    <geom type="capsule" size="0.1" density="1000" contype="0" conaffinity="0"
          rgba="0.8 0.6 0.4 1"/>
  </default>
  <worldbody>
    <light pos="0 0 10"/>
    <geom type="plane" pos="0 0 -0.2" size="40 40 0.1" rgba="0.8 0.9 0.8 1"/>
    <body name="link0">
      <joint name="x" type="slide" axis="1 0 0" armature="0"/>
      <joint name="y" type="slide" axis="0 1 0" armature="0"/>
      <joint name="turn" type="hinge" axis="0 0 1" armature="0"/>
      <geom fromto="0 0 0 -1 0 0"/>"""
LINK = """<body name="link{i}" pos="-1 0 0">
  <joint name="joint{i}" type="hinge" axis="0 0 1" limited="true" range="-100 100"/>
  <geom fromto="0 0 0 -1 0 0"/>"""
MOTOR = '<motor joint="joint{i}" ctrllimited="true" ctrlrange="-1 1" gear="150"/>'


def model_of(links: int) -> str:
    """Returns the model of a chain, as MuJoCo's XML; each link begins where the last one ends."""
    chain = "\n".join(LINK.format(i=i) for i in range(1, links))
    motors = "\n".join(MOTOR.format(i=i) for i in range(1, links))
    return f"{HEAD}\n{chain}{'</body>' * links}</worldbody>\n<actuator>{motors}</actuator></mujoco>"


def reach(links: int) -> Array:
    """Returns L (n, n) such that link i's middle lies at sum_j L[i, j] (cos, sin)(angle j) from the
    centre of mass.
    """
    L: Array = -np.tril(np.ones((links, links)), -1) - 0.5 * np.eye(links)
    return L - L.mean(0)


class Links(ModelTask):
    """One start, straight and at rest but for a jitter."""

    name = "links"
    camera: ClassVar[dict[str, Any]] = {"distance": 8.0, "azimuth": 90, "elevation": -90}
    plane = (0, 1)

    def __init__(self, links: Count = 3, conditions: Count = 1, horizon: Count = 200):
        """Raises InputError for fewer than two links."""
        links = at_least_two(links)
        self.links, self.name = links, self.name if links == 3 else f"links:{links}"
        self.dx, self.du, self.do = 2 * links + 4, links - 1, 2 * links + 2
        xml = model_of(links)
        super().__init__(xml, 4, conditions, horizon, MujocoBatch(xml, 4, current=True))
        first = np.r_[0.0, np.ones(horizon)]  # no action has made the speed of step 0
        forward = Quadratic(np.zeros((self.dx, self.dx)), -np.eye(self.dx)[links + 2], ramp=first)
        self.cost = forward + Action(2e-4)  # it halves the square
        self.graph = graph_of(links)
        each = range(links)
        self.state_names = (
            *("x (m)", "y (m)", *(f"link {i} (rad)" for i in each)),
            *("speed x (m/s)", "speed y (m/s)", *(f"link {i} rate (rad/s)" for i in each)),
        )
        self.action_names = tuple(f"motor {i} (150 Nm)" for i in range(1, links))

    def starts(self, conditions: Array, rng: np.random.Generator) -> tuple[Array, Array]:
        """Returns positions and velocities, (B, n + 2) each, about straight along x and at rest."""
        shape = 2, len(conditions), self.links + 2
        qpos, qvel = rng.uniform(-NOISE, NOISE, size=shape)
        return qpos, qvel

    def states(self) -> Array:
        """Returns x (B, 2n + 4)."""
        q, v = self._sim.field("qpos"), self._sim.field("qvel")
        angle, rate = np.cumsum(q[:, 2:], 1), np.cumsum(v[:, 2:], 1)
        middle, drift = self._from_head(angle, rate)
        return np.concatenate([q[:, :2] + middle, angle, v[:, :2] + drift, rate], 1)

    def to_qpos_qvel(self, x: Array) -> tuple[Array, Array]:
        """Returns positions and velocities (B, n + 2) of x (B, 2n + 4)."""
        n = self.links
        place, angle, speed, rate = np.split(x, [2, n + 2, n + 4], axis=1)
        middle, drift = self._from_head(angle, rate)
        qpos = np.concatenate([place - middle, angle[:, :1], np.diff(angle)], 1)
        return qpos, np.concatenate([speed - drift, rate[:, :1], np.diff(rate)], 1)

    def _from_head(self, angle: Array, rate: Array) -> tuple[Array, Array]:
        """Returns the centre of mass relative to the front end, and its velocity, (B, 2) each."""
        ahead = np.stack([np.cos(angle), np.sin(angle)], -1)
        aside = np.stack([-ahead[..., 1], ahead[..., 0]], -1) * rate[..., None]
        n = self.links
        share = (np.arange(n) - n + 0.5) / n  # the mean of the links' middles
        return np.einsum("i,bij->bj", share, ahead), np.einsum("i,bij->bj", share, aside)

    def observe(self) -> Array:
        """Returns x without the place, (B, 2n + 2)."""
        return self.states()[:, 2:]

    def observation_of(self, x: Array) -> Array:
        """Returns what a policy sees in states x (..., 2n + 4)."""
        return x[..., 2:]

    def metrics(self, x: Array, u: Array) -> dict[str, Array]:
        """Returns how far it swam along x (m), and its mean speed (m/s), (N,) each."""
        far = x[:, -1, 0] - x[:, 0, 0]
        return {"distance": far, "speed": far / (u.shape[1] * self.dt)}


def shape_of(x: Array) -> Array:
    """Returns the joints and ends of swimmers (..., n + 1, 2) in states x (..., 2n + 4)."""
    n = x.shape[-1] // 2 - 2
    angle = x[..., 2 : n + 2]
    ahead = np.stack([np.cos(angle), np.sin(angle)], -1)
    middle = x[..., None, :2] + np.einsum("ij,...jk->...ik", reach(n), ahead)
    return np.concatenate(
        [middle + 0.5 * ahead, middle[..., -1:, :] - 0.5 * ahead[..., -1:, :]], -2
    )


def middles_of(x: Array) -> Array:
    """Returns the middles of the links (..., n, 2) in states x (..., 2n + 4)."""
    ends = shape_of(x)
    return 0.5 * (ends[..., 1:, :] + ends[..., :-1, :])


def graph_of(links: int) -> Graph:
    """Returns the graph of a chain: each link and its neighbours, as seen from the link.

    A link's velocity, and place, velocity, angle and rate of its neighbour, are in the link's own
    frame; the torque of the joint is the one on the link. A change is that of place (2), angle,
    velocity (2) and rate, in the frame before. Links are joined again by what they predict
    together: each one's angle is its own, the place of the centre of mass is that of all.
    """
    n, first = links, np.arange(links - 1)
    senders = np.concatenate([first, first + 1])
    receivers = np.concatenate([first + 1, first])
    L = reach(n)

    def parts(x: Tensor) -> tuple[Tensor, ...]:
        """Returns angles, rates (..., n), and velocities of the links from that of all (..., n,
        2).
        """
        import torch

        angle, rate = x[..., 2 : n + 2], x[..., n + 4 :]
        aside = torch.stack([-angle.sin(), angle.cos()], -1) * rate[..., None]
        return angle, rate, torch.as_tensor(L) @ aside

    def nodes(x: Tensor, u: Tensor) -> Tensor:
        import torch

        angle, rate, drift = parts(x)
        own = turned(drift + x[..., None, n + 2 : n + 4], -angle)
        ends = torch.zeros((n, 2), dtype=x.dtype)
        ends[0, 0] = ends[-1, 1] = 1.0
        return torch.cat([own, rate[..., None], ends.expand(*x.shape[:-1], n, 2)], -1)

    def edges(x: Tensor, u: Tensor) -> Tensor:
        import torch

        angle, rate, drift = parts(x)
        ahead = torch.stack([angle.cos(), angle.sin()], -1)
        gap = [
            a[..., senders, :] - a[..., receivers, :] for a in (torch.as_tensor(L) @ ahead, drift)
        ]
        here = angle[..., receivers]
        bend, twist = angle[..., senders] - here, rate[..., senders] - rate[..., receivers]
        side = torch.as_tensor(np.repeat([1.0, -1.0], n - 1)).expand(bend.shape)
        torque = torch.cat([u, -u], -1)
        alone = torch.stack([bend.cos(), bend.sin(), twist, torque, side], -1)
        return torch.cat([*(turned(a, -here) for a in gap), alone], -1)

    def changes(x: Tensor, after: Tensor) -> Tensor:
        import torch

        (angle, rate, drift), (angle2, rate2, drift2) = parts(x), parts(after)
        ahead, ahead2 = (torch.stack([a.cos(), a.sin()], -1) for a in (angle, angle2))
        place = torch.as_tensor(L) @ (ahead2 - ahead) + (after - x)[..., None, :2]
        speed = drift2 - drift + (after - x)[..., None, n + 2 : n + 4]
        turn, spin = (angle2 - angle)[..., None], (rate2 - rate)[..., None]
        return torch.cat([turned(place, -angle), turn, turned(speed, -angle), spin], -1)

    def move(x: Tensor, c: Tensor) -> Tensor:
        import torch

        angle = x[..., 2 : n + 2]
        place, speed = (turned(a, angle).mean(-2) for a in (c[..., :2], c[..., 3:5]))
        return x + torch.cat([place, c[..., 2], speed, c[..., 5]], -1)

    return Graph(2 * n + 4, n - 1, senders, receivers, nodes, edges, changes, move)


def turned(a: Tensor, angle: Tensor) -> Tensor:
    """Returns vectors (..., 2) turned by angles (...)."""
    import torch

    c, s = angle.cos(), angle.sin()
    return torch.stack([c * a[..., 0] - s * a[..., 1], s * a[..., 0] + c * a[..., 1]], -1)


def at_least_two(links: int) -> int:
    """Returns the number of links. Raises InputError for fewer than two."""
    from lqr import InputError

    if links < 2:
        raise InputError(f"links is {links}; expected 2 or more")
    return links
