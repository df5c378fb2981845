"""A person's own model as a task: against MuJoCo itself, stepped one simulation at a time."""

from pathlib import Path

import mujoco
import numpy as np
import pytest

from agents.planners.models import SimulatorModel
from agents.tasks import make_task
from agents.tasks.adapters.mjcf_goals import Within
from agents.tasks.adapters.mjcf_task import MjcfTask
from agents.tasks.capabilities import HeldOut, Joints, Named, PhysicalState, capability
from agents.tasks.wrappers.randomised import LogUniform, Randomised
from lqr import InputError

ROOT = Path(__file__).resolve().parents[2]

ARM = ROOT / "agents/tasks/models/arm.xml"
GOAL = np.array([0.3, 0.1, 0.5])
# a cart with a mast that falls on a block; lengths in units of 1 m / {k}, and forces of {f} per unit of control
CART = """
<mujoco>
  <option timestep="0.01" gravity="0 0 {g}"/>
  <worldbody>
    <body name="cart" pos="0 0 {z}">
      <joint name="rail" type="slide" axis="1 0 0" limited="true" range="-{k} {k}" damping="0.3"/>
      <inertial pos="0 0 0" mass="1" diaginertia="{i} {i} {i}"/>
      <site name="nose" pos="{k} 0 0"/>
    </body>
    <body name="socket" pos="0 0 0"/>
  </worldbody>
  <actuator><motor name="push" joint="rail" gear="{f}" {range}/></actuator>
</mujoco>
"""
BLOCK = """
<mujoco>
  <option timestep="0.005"/>
  <worldbody>
    <geom type="plane" size="3 3 0.1"/>
    <body name="block" pos="{x} 0 0.1"><geom type="box" size="0.1 0.3 0.1"/></body>
    <body name="socket" pos="{s} 0.5 0.2" mocap="true"/>
    <body name="ball" pos="0 0 0.1">
      <joint name="way" type="slide" axis="1 0 0"/>
      <inertial pos="0 0 0" mass="{m}" diaginertia="0.01 0.01 0.01"/>
      <geom type="sphere" size="0.1"/>
      <site name="tip"/>
    </body>
  </worldbody>
  <actuator><motor name="push" joint="way" ctrllimited="true" ctrlrange="-5 5"/></actuator>
</mujoco>
"""
FREE = """
<mujoco>
  <option timestep="0.01" gravity="0 0 0"/>
  <worldbody>
    <body name="hull">
      <freejoint name="hull"/>
      <geom type="box" size="0.3 0.2 0.1"/>
      <site name="bow" pos="0.3 0 0"/>
      <body name="mast" pos="0 0 0.1">
        <joint name="ball" type="ball" damping="0.1"/>
        <geom type="capsule" fromto="0 0 0 0 0 0.4" size="0.03"/>
      </body>
    </body>
  </worldbody>
  <actuator>
    <motor name="thrust" site="bow" gear="1 0 0 0 0 0" ctrllimited="true" ctrlrange="-2 2"/>
    <motor name="lift" site="bow" gear="0 0 1 0 0 0" ctrllimited="true" ctrlrange="-2 2"/>
  </actuator>
  <sensor><gyro name="gyro" site="bow"/></sensor>
</mujoco>
"""
URDF = """
<robot name="two">
  <link name="base"/>
  <link name="arm"><inertial><origin xyz="0.2 0 0"/><mass value="1"/>
    <inertia ixx="0.1" iyy="0.1" izz="0.1" ixy="0" ixz="0" iyz="0"/></inertial></link>
  <link name="tool"/>
  <joint name="shoulder" type="revolute"><parent link="base"/><child link="arm"/><axis xyz="0 0 1"/>
    <limit lower="-1" upper="2" effort="7" velocity="3"/></joint>
  <joint name="mount" type="fixed"><parent link="arm"/><child link="tool"/><origin xyz="0.3 0 0"/></joint>
</robot>
"""


def cart(k=1.0, f=1.0, limits='ctrllimited="true" ctrlrange="-3 3"'):
    return CART.format(k=k, f=f, g=-9.81 * k, z=0.5 * k, i=0.1 * k * k, range=limits)


def file(tmp_path, text, name="model.xml"):
    (tmp_path / name).write_text(text)
    return tmp_path / name


def stepped(model, qpos, qvel, U, frame_skip):
    """Returns qpos, qvel and the tip's place after each action, by MuJoCo alone, and at the start."""
    data = mujoco.MjData(model)
    data.qpos[:], data.qvel[:] = qpos, qvel
    found = []
    for u in (None, *U):
        if u is not None:
            data.ctrl[:] = u
            mujoco.mj_step(model, data, frame_skip)
        here = mujoco.MjData(model)
        here.qpos[:], here.qvel[:] = data.qpos, data.qvel
        mujoco.mj_forward(model, here)
        found.append(np.concatenate([data.qpos, data.qvel, here.site("tip").xpos]))
    return np.array(found)


def test_states_are_those_of_mujoco_stepped_alone():
    task = MjcfTask(ARM, goal={"tip": GOAL}, sensors=["tip_speed"])
    U = np.random.default_rng(0).uniform(-20, 20, (2, 15, 7))
    x = [task.reset(np.zeros(2, int), np.random.default_rng(0))]
    x += [task.step(U[:, t]) for t in range(15)]
    model = mujoco.MjModel.from_xml_path(str(ARM))
    for i in range(2):
        own = stepped(model, model.key("home").qpos, np.zeros(7), U[i], 10)
        own[:, 14:] -= GOAL
        np.testing.assert_allclose(np.stack(x, 1)[i, :, :17], own, atol=1e-12)
    data = mujoco.MjData(model)  # the sensor is of the state that was reached
    data.qpos[:], data.qvel[:] = x[-1][0, :7], x[-1][0, 7:14]
    mujoco.mj_forward(model, data)
    np.testing.assert_allclose(x[-1][0, 17:], data.sensor("tip_speed").data, atol=1e-12)
    assert task.dt == pytest.approx(0.05)


def test_derivatives_are_those_of_mujocos_own_differences():
    task = MjcfTask(ARM, goal={"tip": GOAL}, frame_skip=2)
    rng, (low, high) = np.random.default_rng(1), task.model.jnt_range.T
    qpos, qvel = 0.5 * rng.uniform(low, high), 0.3 * rng.normal(size=7)
    u = rng.uniform(-20, 20, 7)
    x = task.start(qpos[None], qvel[None])[0]
    J = SimulatorModel(task).jacobian(x[None], u[None])[0]
    model = mujoco.MjModel.from_xml_path(str(ARM))
    data, total, push = mujoco.MjData(model), np.eye(14), np.zeros((14, 7))
    data.qpos[:], data.qvel[:], data.ctrl[:] = qpos, qvel, u
    slopes = []
    for _ in range(3):
        mujoco.mj_forward(model, data)
        slope = np.zeros((3, 7))
        mujoco.mj_jacSite(model, data, slope, None, model.site("tip").id)
        slopes.append(slope)
        A, B = np.zeros((14, 14)), np.zeros((14, 7))
        mujoco.mjd_transitionFD(model, data, 1e-6, True, A, B, None, None)
        if len(slopes) < 3:
            total, push = A @ total, A @ push + B
            mujoco.mj_step(model, data)
    np.testing.assert_allclose(J[:14, :14], total, atol=2e-5)
    np.testing.assert_allclose(J[:14, 17:], push, atol=2e-5)
    gap = slopes[2] @ total[:7]  # the vector moves as the tip does between the two states
    gap[:, :7] -= slopes[0]
    np.testing.assert_allclose(J[14:17, :14], gap, atol=2e-5)
    np.testing.assert_allclose(J[14:17, 14:17], np.eye(3), atol=1e-8)


def test_fields_of_a_condition_are_those_of_a_model_that_was_compiled_so(tmp_path):
    path = file(tmp_path, BLOCK.format(x=0.8, s=0.0, m=1))
    fields = {
        "body_pos": {
            "block": [(0.4, 0, 0.1), (9.0, 0, 0.1), (0.5, 0, 0.1)],
            "socket": [(0.3, 0.5, 0.2), (0.4, 0.5, 0.2), (0.5, 0.5, 0.2)],
        },
        "body_mass": {"ball": [1.0, 1.0, 3.0]},
    }
    task = MjcfTask(path, goal={"tip": "socket"}, fields=fields, horizon=20)
    assert task.conditions == 3
    assert capability(task, PhysicalState) is None  # x does not tell the condition
    U = np.full((20, 3, 1), 3.0)
    x = [task.reset(np.arange(3), np.random.default_rng(0))] + [task.step(u) for u in U]
    places = ((0.4, 0.3, 1), (9.0, 0.4, 1), (0.5, 0.5, 3))
    for c, (block, socket, mass) in enumerate(places):
        model = mujoco.MjModel.from_xml_string(BLOCK.format(x=block, s=socket, m=mass))
        own = stepped(model, np.zeros(1), np.zeros(1), U[:, c], 10)
        own[:, 2:] -= (socket, 0.5, 0.2)
        np.testing.assert_allclose(np.stack(x, 1)[c], own, atol=1e-9)
        np.testing.assert_allclose(task.data(c).body("block").xpos, (block, 0, 0.1), atol=1e-12)
    assert x[-1][0, 0] < 0.25  # the block held the ball
    assert x[-1][1, 0] > 1.0


def test_randomised_physics_keeps_the_fields_of_the_condition(tmp_path):
    path = file(tmp_path, BLOCK.format(x=0.8, s=0.0, m=1))
    task = MjcfTask(
        path, goal={"tip": "socket"}, fields={"body_pos": {"socket": [[1, 0, 0], [2, 0, 0]]}}
    )
    drawn = Randomised(task, mass=LogUniform(2.0, 2.0), friction=None)
    x = drawn.reset(np.arange(2), np.random.default_rng(0))
    np.testing.assert_allclose(x[:, 2], [-1, -2], atol=1e-12)
    heavy = task.step(np.ones((2, 1)))[:, 1]
    plain = MjcfTask(path, goal={"tip": "socket"})
    plain.reset(np.zeros(1, int), np.random.default_rng(0))
    assert (plain.step(np.ones((1, 1)))[:, 1] > 1.5 * heavy).all()


def test_numbers_have_the_models_names_and_units(tmp_path):
    task = MjcfTask(file(tmp_path, FREE), goal={"bow": (1, 0, 0)}, sensors=["gyro"])
    assert capability(task, Named)
    assert len(task.state_names) == task.dx == 11 + 9 + 3 + 3
    assert task.state_names[:4] == ("hull x (m)", "hull y (m)", "hull z (m)", "hull quaternion w")
    assert task.state_names[11:15] == (
        *(f"hull rate {axis} (m/s)" for axis in "xyz"),
        "hull turning x (rad/s)",
    )
    assert task.state_names[20:] == (
        *(f"bow - goal {axis} (m)" for axis in "xyz"),
        *(f"gyro {axis} (rad/s)" for axis in "xyz"),
    )
    assert task.action_names == ("thrust", "lift")
    rail = MjcfTask(file(tmp_path, cart(f=20.0)), goal="nose:socket")
    assert rail.state_names[:3] == ("rail (m)", "rail rate (m/s)", "nose - socket x (m)")
    assert rail.action_names == ("push (20 N each)",)


def test_orientations_lie_on_a_manifold_and_are_planned_in(tmp_path):
    task = MjcfTask(file(tmp_path, FREE), goal={"bow": (1, 0, 0)}, start_noise=0.02)
    assert task.manifold.size == task.dx
    assert task.manifold.dim == task.dx - 2
    x = task.reset(np.zeros(2, int), np.random.default_rng(0))
    np.testing.assert_allclose(np.linalg.norm(x[:, 3:7], axis=1), 1.0)
    assert not np.allclose(x[0], x[1])
    U = np.random.default_rng(1).uniform(-2, 2, (6, 2, 2))
    ahead = SimulatorModel(task).roll(x[1], np.swapaxes(U, 0, 1), 0, None)
    for t in range(6):
        now = task.step(U[t])
        np.testing.assert_allclose(ahead[1, 0, t + 1], now[1], atol=1e-9)


def test_the_simulator_knows_the_goal_of_each_state():
    task = MjcfTask(ARM, goal={"tip": Within((0.2, -0.3, 0.2), (0.4, 0.3, 0.5))}, conditions=5)
    x = task.reset(np.arange(5), np.random.default_rng(0))
    u = np.random.default_rng(1).uniform(-10, 10, (5, 7))
    believed = task.simulator(x, u, np.ones((5, len(task.simulator.parameters))))
    np.testing.assert_allclose(believed, task.step(u), atol=1e-10)
    heavy = task.simulator(x, u, np.tile([2.0, 1.0, 1.0], (5, 1)))
    assert task.simulator.parameters == ("mass", "rotor inertia", "damping")
    assert not np.allclose(heavy, believed, atol=1e-4)


def test_goals_are_drawn_once_and_others_are_held_out():
    said = "tip:0.2..0.4,-0.3..0.3,0.5"
    task, again = MjcfTask(ARM, goal=said, conditions=6), MjcfTask(ARM, goal=said, conditions=6)
    place = [one.reset(np.arange(6), np.random.default_rng(0))[:, 14:] for one in (task, again)]
    np.testing.assert_array_equal(*place)
    tip = task.data(0).site("tip").xpos
    goals = tip - place[0]
    assert ((goals >= [0.2, -0.3, 0.5 - 1e-12]) & (goals <= [0.4, 0.3, 0.5 + 1e-12])).all()
    assert len(np.unique(goals[:, 0])) == 6
    markers = [task.data(c).body("goal of tip").xpos for c in range(6)]
    np.testing.assert_allclose(markers, goals, atol=1e-12)
    others = capability(task, HeldOut).held_out()
    x = others.reset(np.arange(others.conditions), np.random.default_rng(0))
    assert not set(np.round(x[:, 14], 9)) & set(np.round(place[0][:, 0], 9))
    assert capability(MjcfTask(ARM), HeldOut) is None


def test_other_goals_cost_as_those_of_training_and_keep_the_starts_of_conditions():
    starts = [[0.1 * i] * 7 for i in range(3)]
    task = MjcfTask(ARM, goal="tip:0.2..0.4,-0.3..0.3,0.5", start=starts)
    others = task.held_out()
    assert others.conditions == task.conditions == 3
    rng = np.random.default_rng(0)
    X, U = rng.normal(size=(2, task.horizon + 1, task.dx)), np.zeros((2, task.horizon, task.du))
    np.testing.assert_array_equal(others.cost(X, U), task.cost(X, U))


def test_two_motors_of_one_joint_are_no_joints_of_their_own(tmp_path):
    text = cart().replace("</actuator>", '<motor joint="rail" ctrlrange="-1 1"/></actuator>')
    assert capability(MjcfTask(file(tmp_path, text), goal={"nose": (1, 0, 0)}), Joints) is None


def test_goals_of_conditions_and_the_words_for_them_agree():
    places = np.array([[0.3, 0.0, 0.2], [0.2, 0.1, 0.3]])
    said = MjcfTask(ARM, goal="tip:0.3,0,0.2/0.2,0.1,0.3;link5:0,0,0.5")
    given = MjcfTask(ARM, goal={"tip": places, "link5": (0, 0, 0.5)})
    assert said.conditions == given.conditions == 2
    x = [one.reset(np.arange(2), np.random.default_rng(0)) for one in (said, given)]
    np.testing.assert_array_equal(*x)
    np.testing.assert_allclose(x[0][0, 14:17] - x[0][1, 14:17], places[1] - places[0], atol=1e-12)
    far = said.metrics(x[0][:, None], np.zeros((2, 0, 7)))
    np.testing.assert_allclose(far["distance_tip"], np.linalg.norm(x[0][:, 14:17], axis=1))
    np.testing.assert_allclose(
        far["distance"], np.maximum(far["distance_tip"], far["distance_link5"])
    )


def test_starts_are_keyframes_positions_or_drawn():
    home = MjcfTask(ARM, start="home").reset(np.zeros(1, int), np.random.default_rng(0))
    np.testing.assert_array_equal(home[0, :7], [0, 0.3, 0, 1.2, 0, 0.8, 0])
    two = MjcfTask(ARM, start=[np.zeros(7), np.full(7, 0.1)])
    x = two.reset(np.arange(2), np.random.default_rng(0))
    np.testing.assert_array_equal(x[:, 3], [0, 0.1])

    def draw(condition, rng):
        return np.full(7, 0.1 * condition), rng.uniform(0.5, 1, 7)

    x = MjcfTask(ARM, start=draw, conditions=3).reset(np.arange(3), np.random.default_rng(0))
    np.testing.assert_allclose(x[:, 0], [0, 0.1, 0.2])
    assert (x[:, 7:14] >= 0.5).all()
    target = MjcfTask(ARM, joint_target="home").joint_target
    np.testing.assert_array_equal(target, home[:, :7])
    with pytest.raises(InputError, match="positions of 1 or 1 conditions"):
        MjcfTask(ARM, joint_target=np.zeros((2, 7)))
    noisy = MjcfTask(ARM, start_noise=0.05)
    q = noisy.reset(np.zeros(2000, int), np.random.default_rng(0))[:, :7] - home[0, :7]
    low, high = noisy.model.jnt_range.T
    inside = [0, 1, 2, 3, 4, 6]  # farther than 4 standard deviations from a limit
    np.testing.assert_allclose(q.std(0)[inside], 0.05 * (high - low)[inside], rtol=0.1)
    assert (q + home[0, :7] <= high).all()


def test_a_model_in_other_units_costs_the_same(tmp_path):
    rng = np.random.default_rng(0)
    x, u = rng.normal(size=(3, 21, 5)), rng.normal(size=(3, 20, 1))
    costs = []
    for k, f, limits in ((1.0, 1.0, (-3, 3)), (1000.0, 2000.0, (-1.5, 1.5))):
        text = f'ctrllimited="true" ctrlrange="{limits[0]} {limits[1]}"'
        task = MjcfTask(file(tmp_path, cart(k, f, text)), goal={"nose": (0, 0, 0)}, horizon=20)
        costs.append(task.cost(k * x, u * limits[1]))
    np.testing.assert_allclose(costs[1], costs[0], rtol=1e-9)
    costs = []  # and without limits of the motor
    for k, f in ((1.0, 1.0), (1000.0, 10.0)):
        task = MjcfTask(file(tmp_path, cart(k, f, "")), goal={"nose": (0, 0, 0)}, horizon=20)
        assert np.isinf(task.action_high).all()
        costs.append(task.cost(k * x, u * k / f))
    np.testing.assert_allclose(costs[1], costs[0], rtol=1e-9)


def test_a_force_range_limits_a_motor_without_a_range_of_controls(tmp_path):
    text = cart(f=2.0, limits='forcelimited="true" forcerange="-6 8"').replace(
        "damping", 'actuatorfrclimited="true" actuatorfrcrange="-20 10" damping'
    )
    task = MjcfTask(file(tmp_path, text), goal="nose:socket")
    np.testing.assert_allclose([task.action_low, task.action_high], [[-6], [5]])
    x = task.start(np.zeros((2, 1)), np.zeros((2, 1)))
    x = task.step(np.array([[5.0], [50.0]]))
    np.testing.assert_allclose(x[0], x[1], atol=1e-12)  # more does nothing


def test_a_urdf_gets_motors_of_its_efforts(tmp_path):
    task = MjcfTask(file(tmp_path, URDF, "two.urdf"), goal={"tool": (0, 0.3, 0)}, horizon=10)
    assert task.action_names == ("shoulder (N m)",)
    np.testing.assert_allclose([task.action_low, task.action_high], [[-7], [7]])
    assert task.state_names[:3] == ("shoulder (rad)", "shoulder rate (rad/s)", "tool - goal x (m)")
    q, rate = capability(task, Joints).joints
    assert (list(q), list(rate)) == ([0], [1])
    x = task.start(np.array([[np.pi / 2]]), np.zeros((1, 1)))
    np.testing.assert_allclose(x[0, 2:], 0, atol=1e-12)
    x = task.reset(np.zeros(1, int), np.random.default_rng(0))
    np.testing.assert_allclose(x[0, 2:], [0.3, -0.3, 0], atol=1e-12)
    x = task.step(np.array([[1.4]]))
    inertia = 0.1 + 0.2**2  # N m / (rad/s^2): that of the link, and its mass 0.2 m away
    assert x[0, 1] == pytest.approx(1.4 / inertia * task.dt, rel=1e-9)
    bare = URDF.replace('effort="7"', 'effort="0"')
    with pytest.raises(InputError, match=r"no actuators.*motors=.*shoulder.*effort above 0"):
        MjcfTask(file(tmp_path, bare, "bare.urdf"), goal={"tool": (0, 0.3, 0)})
    strong = MjcfTask(tmp_path / "bare.urdf", goal={"tool": (0, 0.3, 0)}, motors={"shoulder": 3})
    assert strong.action_high == 3


def test_the_weight_of_links_is_held_and_what_is_free_falls(tmp_path):
    text = """
    <mujoco>
      <worldbody>
        <body name="arm"><joint axis="0 1 0"/><geom type="capsule" fromto="0 0 0 1 0 0" size="0.1"/>
          <body name="hand" pos="1 0 0"><geom size="0.1"/></body></body>
        <body name="apple" pos="0 3 0"><freejoint/><geom size="0.1"/></body>
      </worldbody>
      <actuator><motor joint="joint"/></actuator>
    </mujoco>""".replace("<joint ", '<joint name="joint" ')
    ends = []
    for held in (True, False):
        task = MjcfTask(
            file(tmp_path, text), goal={"hand": (0, 0, 1)}, compensate_gravity=held, seconds=0.1
        )
        x = task.reset(np.zeros(1, int), np.random.default_rng(0))
        for _ in range(task.horizon):
            x = task.step(np.zeros((1, 1)))
        ends.append(x[0])
    np.testing.assert_allclose(ends[0][0], 0, atol=1e-9)
    assert ends[1][0] > 0.05  # rad: it fell
    fall = task.model.nq + 3  # the velocity of the apple downwards: after the hinge's, x and y
    np.testing.assert_allclose([end[fall] for end in ends], -9.81 * 0.1, rtol=1e-6)


def test_a_plain_function_is_a_cost_and_another_one_what_is_seen(tmp_path):
    path = file(tmp_path, cart())
    task = MjcfTask(
        path, lambda x, u: (x[:, 0] - 0.5) ** 2 + 0.1 * u[:, 0] ** 2, observe=lambda x: x[..., :1]
    )
    assert (task.dx, task.do) == (2, 1)
    x = task.reset(np.zeros(3, int), np.random.default_rng(0))
    np.testing.assert_array_equal(task.observe(), x[:, :1])
    cost = task.cost(np.zeros((1, 3, 2)), np.ones((1, 2, 1)))
    np.testing.assert_allclose(cost, [[0.35, 0.35, 0.25]])
    assert task.metrics(x[:, None], np.zeros((3, 0, 1))) == {}


REFUSED = [
    (
        {"goal": {"nos": (0, 0, 0)}},
        r"got the site 'nos'; expected one of the model's sites \(nose\)",
    ),
    ({"goal": {"nose": (0, 0)}}, r"goal \(0, 0\) of nose; expected 3 metres"),
    ({"goal": "nose:0,0"}, r"expected 3 metres"),
    ({"goal": "nose 0,0,0"}, r"got the goal 'nose 0,0,0'; expected SITE:X,Y,Z"),
    ({"goal": "nose:1..0,0,0"}, r"expected 3 numbers each, low <= high"),
    ({}, r"got no goal and no cost .*--goal-site"),
    ({"goal": "nose:socket", "conditions": 4}, r"conditions is 4, and all would be the same"),
    ({"goal": "nose:0,0,0/0,0,1", "conditions": 4}, r"expected one number of conditions"),
    ({"goal": "nose:socket", "start": "home"}, r"expected a keyframe of the model: none"),
    ({"goal": "nose:socket", "start": [0, 1]}, r"expected positions \(1,\) or \(C, 1\) of rail"),
    ({"goal": "nose:socket", "start_noise": -1}, r"start_noise is -1"),
    ({"goal": "nose:socket", "sensors": ["force"]}, r"got the sensor 'force'; expected .*none"),
    ({"goal": "nose:socket", "horizon": 9, "seconds": 2.0}, r"expected one of the two"),
    (
        {"goal": "nose:socket", "fields": {"body_pos": {"sock": (0, 0, 0)}}},
        r"expected one of world",
    ),
    ({"goal": "nose:socket", "fields": {"pos": {"cart": 1}}}, r"got the field 'pos'"),
    (
        {"goal": "nose:socket", "fields": {"body_mass": {"cart": (1, 2, np.inf)}}},
        r"expected finite",
    ),
    ({"goal": "nose:socket", "observe": lambda x: x[0]}, r"observe returned shape"),
    ({"goal": "nose:socket", "motors": {"wheel": 3}}, r"got a motor of 'wheel'; expected .*rail"),
]


@pytest.mark.parametrize(("words", "told"), REFUSED)
def test_what_cannot_be_is_refused_in_words(tmp_path, words, told):
    with pytest.raises(InputError, match=told):
        MjcfTask(file(tmp_path, cart()), **words)


def test_files_that_are_no_models_are_refused(tmp_path):
    with pytest.raises(InputError, match="which is not there"):
        make_task(f"mjcf:{tmp_path / 'none.xml'}")
    with pytest.raises(InputError, match=r"MuJoCo refuses .*broken\.xml"):
        MjcfTask(file(tmp_path, "<mujoco><worldbody>", "broken.xml"), goal="tip:0,0,0")
    still = file(tmp_path, cart().replace("<actuator>", "<!--").replace("</actuator>", "-->"))
    with pytest.raises(
        InputError, match=r"has no actuators; expected .*motors=\{JOINT: TORQUE\}.* rail"
    ):
        MjcfTask(still, goal="nose:socket")


def test_activations_are_part_of_the_state_and_servos_rest_where_they_start(tmp_path):
    lag = cart().replace("<motor ", '<general dyntype="filter" dynprm="0.2" ')
    task = MjcfTask(file(tmp_path, lag), goal="nose:socket")
    assert task.state_names[2] == "push activation"
    assert task.simulator is None  # it would start without
    x = task.reset(np.zeros(2, int), np.random.default_rng(0))
    U = np.random.default_rng(1).uniform(-3, 3, (6, 2, 1))
    for t in range(3):
        x = task.step(U[t])
    assert (np.abs(x[:, 2]) > 0.01).all()
    ahead = SimulatorModel(task).roll(x[1], np.swapaxes(U[3:], 0, 1), 3, None)
    for t in range(3, 6):
        x = task.step(U[t])
        np.testing.assert_allclose(ahead[1, 0, t - 2], x[1], atol=1e-10)
    servo = (
        cart()
        .replace("<motor ", '<position kp="50" kv="10" ')
        .replace(
            "</actuator>",
            """
      </actuator><keyframe><key name="aside" qpos="0.4"/></keyframe>""",
        )
    )
    task = MjcfTask(file(tmp_path, servo), goal="nose:socket")
    assert task.action_names == ("push (m)",)
    assert capability(task, Joints) is None  # its action is no force
    x = task.reset(np.zeros(1, int), np.random.default_rng(0))[:, None].repeat(2, 1)
    costs = [task.cost(x, np.full((1, 1, 1), u))[0, 0] for u in (0.3, 0.4, 0.5)]
    assert costs[1] < costs[0] == pytest.approx(costs[2])


def test_markers_leave_the_models_own_mocap_bodies_and_keyframes_as_they_are(tmp_path):
    text = BLOCK.format(x=0.8, s=0.3, m=1).replace(
        "</actuator>",
        """
      </actuator><keyframe><key name="off" qpos="0.2" mpos="0.3 0.5 0.2"/></keyframe>""",
    )
    task = MjcfTask(file(tmp_path, text), goal={"tip": (0.5, 0.1, 0.2)}, start="off")
    x = task.reset(np.zeros(1, int), np.random.default_rng(0))
    np.testing.assert_allclose(x, [[0.2, 0, -0.3, -0.1, -0.1]], atol=1e-12)
    np.testing.assert_allclose(task.data(0).body("socket").xpos, (0.3, 0.5, 0.2))
    np.testing.assert_allclose(task.data(0).body("goal of tip").xpos, (0.5, 0.1, 0.2))
