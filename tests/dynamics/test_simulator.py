"""The simulator as a prior: its tangent, what it says of its own errors, and its parameters found
from data.
"""

import numpy as np
import pytest

from agents.tasks.mujoco.reacher import ReacherFour
from dynamics import FlatPrior, SimulatorPrior, fit_linear_gaussian, make_prior
from lqr import InputError

HALF = {"mass of link 0": 0.5, "mass of link 1": 0.5}
ALL = HALF | {"rotor inertia": 0.5, "damping": 0.5}


class Spring:
    """x = [place, speed] of a mass on a spring, pushed: parameters are its stiffness 4, its
    friction 0.5, nothing.
    """

    dt, dx, du = 0.05, 2, 1

    def __init__(self, believed=(1.0, 1.0), fails=None):
        self.simulator, self.parameters = self, ("stiffness", "friction", "colour")
        self.believed, self.fails = np.array([*believed, 1.0]), fails

    def __call__(self, x, u, factors):
        k, c = 4.0 * self.believed[0] * factors[:, 0], 0.5 * self.believed[1] * factors[:, 1]
        force = -k * np.sin(x[:, 0]) - c * x[:, 1] + u[:, 0]
        after = x + self.dt * np.column_stack([x[:, 1], force])
        if self.fails is not None:
            after[self.fails(x)] = np.nan
        return after


def data(rng, M=400, noise=0.0):
    x, u = rng.uniform(-2, 2, size=(M, 2)), rng.normal(size=(M, 1))
    return x, u, Spring()(x, u, np.ones((M, 3))) + noise * rng.normal(size=(M, 2))


def steps(arrays, C=2, T=3, N=4):
    return tuple(a[: C * T * N].reshape(C, T, N, -1) for a in arrays)


def learned(task, transitions, **settings):
    prior = make_prior(SimulatorPrior(**settings), task)
    prior.update(*transitions)
    return prior


def test_the_prior_is_the_simulators_tangent_at_the_mean_of_the_samples():
    seen = data(np.random.default_rng(0))
    prior = learned(Spring(), seen)
    x, u, xnext = steps(seen)
    guess = prior.at(x, u, xnext)
    at, push = x.mean(2), u.mean(2)
    G = np.zeros((2, 3, 2, 3))
    G[..., 0, 1] = 0.05
    G[..., 1, 0] = -0.2 * np.cos(at[..., 0])
    G[..., 1, 1] = -0.025
    G[..., 1, 2] = 0.05
    cov = guess.Phi / guess.n0[..., None, None]
    slope = np.swapaxes(np.linalg.solve(cov[..., :3, :3], cov[..., :3, 3:]), -1, -2)
    np.testing.assert_allclose(slope, G, atol=1e-6)
    change = Spring()(at.reshape(-1, 2), push.reshape(-1, 1), np.ones((6, 3))).reshape(2, 3, 2) - at
    np.testing.assert_allclose(guess.mean, np.concatenate([at, push, change], -1), atol=1e-9)
    spread = np.cov(np.hstack(seen[:2]).T, bias=True)
    np.testing.assert_allclose(
        cov[..., :3, :3], np.broadcast_to(spread, (2, 3, 3, 3)), rtol=1e-4, atol=1e-5
    )


def test_parameters_are_recovered_and_those_without_effect_stay():
    prior = learned(Spring((0.5, 1.5)), data(np.random.default_rng(1)))
    assert prior.model.factors == pytest.approx(
        {"stiffness": 2.0, "friction": 2 / 3, "colour": 1.0}, rel=1e-4
    )


def test_the_posterior_of_noisy_data_covers_the_truth():
    """Against the exact least squares of this model, which is linear in its parameters, and its
    standard error.
    """
    rng, errors = np.random.default_rng(2), []
    for _ in range(20):
        x, u, xnext = data(rng, 200, noise=0.02)
        prior = learned(Spring((0.6, 1.4)), (x, u, xnext), width=10.0)
        rows = 0.05 * np.column_stack([-4.0 * np.sin(x[:, 0]), -0.5 * x[:, 1]])
        y = (xnext - x)[:, 1] - 0.05 * u[:, 0]
        exact = np.linalg.lstsq(rows, y, rcond=None)[0]
        found = np.exp(prior.model.theta[:2]) * [0.6, 1.4]
        np.testing.assert_allclose(found, exact, rtol=0.01)
        errors.append((found - 1) / (0.02 * np.sqrt(np.diag(np.linalg.inv(rows.T @ rows)))))
    assert 0.6 < np.sqrt(np.square(errors).mean()) < 1.5


def test_a_few_noisy_transitions_move_the_parameters_less_than_many():
    truth, found = np.log(2.0), {}
    for M in (1, 300):
        prior = learned(
            Spring((0.5, 1.0)), data(np.random.default_rng(3), M, noise=0.05), width=0.2
        )
        found[M] = prior.model.theta[0]
    assert abs(found[1]) < 0.1
    assert found[300] == pytest.approx(truth, abs=0.1)


def test_the_residual_is_what_the_simulator_misses():
    seen = data(np.random.default_rng(4), 2000, noise=0.03)
    right, wrong = (learned(Spring(b), seen, identify=False) for b in ((1.0, 1.0), (0.5, 1.0)))
    np.testing.assert_allclose(right.model.residual, 0.03**2 * np.eye(2), atol=1e-4)
    bias = (0.05 * 2.0 * np.sin(seen[0][:, 0])) ** 2
    assert wrong.model.residual[1, 1] == pytest.approx(0.03**2 + bias.mean(), rel=0.05)
    assert wrong.model.theta.tolist() == [0.0, 0.0, 0.0]


def test_what_was_learned_moved_the_simulator_only_if_it_was_wrong():
    seen = data(np.random.default_rng(5))
    assert learned(Spring(), seen).model.moved < 1e-6
    assert learned(Spring((0.5, 1.0)), seen).model.moved > 0.05
    assert learned(Spring((0.5, 1.0)), seen, identify=False).model.moved == 0.0


def test_factors_stay_within_their_limit():
    prior = learned(Spring((0.01, 1.0)), data(np.random.default_rng(6)), limit=3.0)
    assert prior.model.factors["stiffness"] == pytest.approx(3.0)


def test_steps_that_the_simulator_cannot_take_are_left_out_and_keep_the_state_in_the_prior():
    seen = data(np.random.default_rng(7))
    prior = learned(Spring((0.5, 1.0), fails=lambda x: x[:, 0] > 1.0), seen)
    assert prior.model.factors["stiffness"] == pytest.approx(2.0, rel=1e-3)
    guess = prior.at(*(np.full((1, 1, 1, d), 1.5) for d in (2, 1, 2)))
    assert np.isfinite(guess.Phi).all()
    assert (guess.mean[0, 0, 3:] == 0).all()
    hopeless = learned(Spring(fails=lambda x: x[:, 0] < np.inf), seen)
    assert np.isfinite(hopeless.at(*steps(seen)).Phi).all()


def test_a_right_simulator_needs_one_sample_where_a_flat_prior_fails():
    rng = np.random.default_rng(8)
    x, u = np.zeros((2, 1, 41, 2)), 0.5 * rng.normal(size=(2, 1, 40, 1))
    x[:, 0, 0] = rng.normal(size=(2, 2))
    for t in range(40):
        x[:, 0, t + 1] = Spring()(x[:, 0, t], u[:, 0, t], np.ones((2, 3)))
    near = x[:, :, :-1] + 0.05 * rng.normal(size=(2, 50, 40, 2))
    push = u + 0.05 * rng.normal(size=(2, 50, 40, 1))
    truth = Spring()(
        near.reshape(-1, 2), push.reshape(-1, 1), np.ones((near[..., 0].size, 3))
    ).reshape(near.shape)
    error = {}
    for prior in (make_prior(SimulatorPrior(), Spring((0.5, 1.5))), FlatPrior()):
        prior.update(x[:, :, :-1].reshape(-1, 2), u.reshape(-1, 1), x[:, :, 1:].reshape(-1, 2))
        fit = fit_linear_gaussian(x, u, prior).dynamics
        guess = (
            np.einsum("ctij,cntj->cnti", fit.F, np.concatenate([near, push], -1)) + fit.f[:, None]
        )
        error[type(prior).__name__] = np.sqrt(((guess - truth) ** 2).mean())
    assert error["SimulatorPrior"] < 3e-4  # curvature within 0.05
    assert error["SimulatorPrior"] < 0.05 * error["FlatPrior"]


def test_a_task_without_a_simulator_is_refused_with_what_to_do():
    class Bare:
        name = "bare"

    with pytest.raises(
        InputError,
        match=r"the task bare, which has no simulator; expected an attribute `simulator`",
    ):
        make_prior("simulator", Bare())
    with pytest.raises(InputError, match="no simulator"):
        make_prior("simulator")
    with pytest.raises(InputError, match=r"expected attach\(task\)"):
        SimulatorPrior().update(*data(np.random.default_rng(9), 5))
    with pytest.raises(InputError, match="width is 0"):
        SimulatorPrior(width=0.0)


def episodes(task, rng, std):
    x = [task.reset(np.repeat(np.arange(4), 2), rng)]
    u = std * rng.standard_normal((50, 8, 2))
    for t in range(50):
        x.append(task.step(u[t]))
    x = np.stack(x)
    return x[:-1].reshape(-1, 6), u.reshape(-1, 2), x[1:].reshape(-1, 6)


@pytest.mark.parametrize("believed", [HALF, ALL])
def test_the_wrong_parameters_of_the_reacher_are_recovered_from_two_episodes_per_condition(
    believed,
):
    task = ReacherFour(believed)
    prior = learned(task, episodes(task, np.random.default_rng(10), 0.01))
    truth = {name: 1 / believed.get(name, 1.0) for name in task.simulator.parameters}
    assert prior.model.factors == pytest.approx(truth, rel=1e-3)
    assert np.sqrt(np.diag(prior.model.residual))[:4].max() < 1e-5  # rad, rad/s


def test_the_reachers_simulator_makes_the_same_step_as_the_task():
    task = ReacherFour()
    x, u, xnext = episodes(task, np.random.default_rng(11), 0.05)
    again = task.simulator(x, u, np.ones((len(x), 4)))
    np.testing.assert_allclose(again[:, :4], xnext[:, :4], atol=1e-12)
    np.testing.assert_allclose(
        again[:, 4:], xnext[:, 4:], atol=1e-5
    )  # m; places are those of RK4's last stage


def test_a_factor_is_that_of_the_field_in_mujocos_own_model():
    import mujoco

    task = ReacherFour({"damping": 0.5})
    x, u, _ = episodes(task, np.random.default_rng(12), 0.2)
    factors = np.array([3.0, 0.5, 2.0, 4.0])
    after = task.simulator(x[100:101], u[100:101], factors[None])[0]
    model = mujoco.MjModel.from_xml_path(task.simulator._sim.xml)
    for field, index, factor in [
        ("body_mass", 1, 3.0),
        ("body_mass", 2, 0.5),
        ("body_mass", 3, 0.5),
    ]:
        getattr(model, field)[index] *= factor
        model.body_inertia[index] *= factor
    model.dof_armature[:2] *= 2.0
    model.dof_damping[:2] *= 2.0  # believed 0.5, identified 4
    mujoco.mj_setConst(model, state := mujoco.MjData(model))
    state.qpos[:2], state.qvel[:2], state.ctrl[:] = x[100, :2], x[100, 2:4], u[100]
    mujoco.mj_step(model, state, nstep=2)
    np.testing.assert_allclose(after[:4], [*state.qpos[:2], *state.qvel[:2]], atol=1e-12)


def test_believing_in_a_parameter_that_is_not_there_is_refused():
    with pytest.raises(InputError, match="got factors of mass; expected of mass of link 0"):
        _ = ReacherFour({"mass": 0.5}).simulator


def test_the_simulator_is_a_model_whose_draws_scatter_by_what_it_misses():
    seen, rng = data(np.random.default_rng(13), 1000, noise=0.03), np.random.default_rng(14)
    model = learned(Spring((0.5, 1.0)), seen).model
    x, u = np.tile([0.3, -0.2], (3, 4, 1)), np.full((3, 4, 1), 0.5)
    mean, cov = model.predict(x, u)
    np.testing.assert_allclose(
        mean[2, 1], Spring()(x[0, :1], u[0, :1], np.ones((1, 3)))[0], atol=5e-3
    )
    draws = np.stack([model.sample(x, u, rng) for _ in range(2000)])
    np.testing.assert_allclose(draws.mean((0, 1, 2)), mean[0, 0], atol=2e-3)
    np.testing.assert_allclose(np.cov(draws.reshape(-1, 2).T), cov[0, 0], atol=1e-4)
    np.testing.assert_allclose(model.linearise(x, u).mean, mean)
