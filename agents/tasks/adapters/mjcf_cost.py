"""The cost of bringing sites to their goals, for any model: no number of it depends on units.

With s the sum of the squared distances, in the unit of their size at the start, the cost of a step
is s / 2 + NEAR / 2 log(1 + s / WIDTH), which pulls from afar and is sharp at the goal (Levine & Abbeel
2014), and EFFORT / 2 the mean square of the actions, in units of half their range, and RATES / 2 the
mean square of the velocities, in units of a joint's range per episode.
"""

from typing import Any

import numpy as np

from lqr import Action, Lorentzian, Quadratic, WeightedNorm

from ...interfaces import Cost
from ..action_limits import bounded
from .mjcf_layout import Layout
from .mjcf_model import is_motor, joint_of

Array = np.ndarray
NEAR = 0.5
WIDTH = 1e-3
EFFORT = 0.1
RATES = 0.01


def goal_cost(
    model: Any, layout: Layout, starts: Array, low: Array, high: Array, seconds: float
) -> Cost:
    """Returns the cost for states x (dx,), of which `starts` (C, dx) are those at the start, actions
    within `low` and `high` (du,), and episodes of so many seconds.
    """
    gaps = starts[:, layout.gaps]
    size = np.sqrt((gaps**2).sum(1).mean())
    if not size > 1e-6 * model.stat.extent:  # it starts where it belongs
        size = 0.1 * model.stat.extent
    near, rates = np.zeros(layout.dx), np.zeros(layout.dx)
    near[layout.gaps] = size**-2.0
    rates[layout.qvel] = RATES / model.nv * (seconds / spans(model)) ** 2
    unit, rest = action_units(model, starts[0, layout.qpos], low, high, seconds)
    effort = Action(EFFORT / len(unit) / unit**2, target=rest)
    way = Lorentzian(near, l1=NEAR, l2=1.0, alpha=WIDTH) + WeightedNorm(rates) + effort
    least = 0.5 * NEAR * np.log(WIDTH)  # of the way, at the goal
    return way + Quadratic(np.zeros((layout.dx, layout.dx)), const=-least)


def spans(model: Any) -> Array:
    """Returns how far each degree of freedom goes, (nv,): its joint's range; else a turn, or the
    model's extent.
    """
    import mujoco

    found = np.empty(model.nv)
    kinds = mujoco.mjtJoint
    for d, joint in enumerate(model.dof_jntid):
        kind, first = model.jnt_type[joint], model.jnt_dofadr[joint]
        turns = kind == kinds.mjJNT_HINGE or kind == kinds.mjJNT_BALL
        turns = turns or (kind == kinds.mjJNT_FREE and d - first >= 3)
        found[d] = 2 * np.pi if turns else model.stat.extent
        if model.jnt_limited[joint] and kind != kinds.mjJNT_BALL:
            found[d] = np.ptp(model.jnt_range[joint])
    return found


def action_units(
    model: Any, qpos: Array, low: Array, high: Array, seconds: float
) -> tuple[Array, Array]:
    """Returns the unit of each action (du,), and the action that costs nothing, (du,).

    Within limits the unit is half their range. Else it is a motor's control that holds its joint
    and moves it over its range in an episode, or a servo's range; a servo rests where its joint
    starts.
    """
    import mujoco

    data = mujoco.MjData(model)
    data.qpos[:] = qpos
    mujoco.mj_forward(model, data)
    inertia = np.empty((model.nv, model.nv))
    mujoco.mj_fullM(model, data, inertia)
    load = np.abs(data.qfrc_bias - data.qfrc_passive) + np.diag(inertia) * spans(model) / seconds**2
    unit, rest = np.ones(model.nu), np.zeros(model.nu)
    limited = bounded(low, high) & (low < high)
    unit[limited] = 0.5 * (high - low)[limited]
    for i in range(model.nu):
        joint = joint_of(mujoco, model, i)
        if joint is None:
            continue
        dof, gear = model.jnt_dofadr[joint], model.actuator_gear[i, 0]
        force = abs(gear * model.actuator_gainprm[i, 0])
        if model.actuator_biasprm[i, 1]:  # a servo of positions
            rest[i] = gear * qpos[model.jnt_qposadr[joint]]
            unit[i] = unit[i] if limited[i] else abs(gear) * spans(model)[dof]
        elif not limited[i] and is_motor(mujoco, model, i) and force > 0 and load[dof] > 0:
            unit[i] = load[dof] / force
    return unit, np.clip(rest, low, high)
