"""The dual update against constrained optima by dense algebra: signs, fixed points, and where it
converges.
"""

import numpy as np
import pytest
from linear_tasks import Exact, controllers, linear_task, local_of, mean_action_cost

from gps.badmm import Dual, initial_dual, shift, update_dual
from gps.steps.exploration import with_std
from gps.steps.linearise import linearise
from gps.steps.policy_data import PolicyData
from gps.steps.policy_step import compare, distil
from gps.steps.trajectory_step import trajectory_step
from lqr import (
    Gaussian,
    LinearGaussianController,
    TrajectoryDistribution,
    forward,
    negative_log_density,
)

C, T, DX, DU = 2, 4, 3, 2
FREE = np.full(DU, np.inf)  # no bound on the y


def regress(policy, teacher, dual, bound, seen, rng):
    return distil(
        policy, teacher, PolicyData(*seen), rng, 1, 1.0, dual.nu, shift(dual, teacher.cov, bound)
    )


def duals(lam=0.0, nu=1.0):
    return Dual(lam + np.zeros((C, T, DU)), nu + np.zeros((C, T)))


def seen(rng, N=5, o=None):
    x = rng.normal(size=(C, N, T, DX))
    return x, x if o is None else o, np.ones((C, N, T))


def test_without_multipliers_the_policy_goes_to_the_controllers():
    rng = np.random.default_rng(0)
    teacher, data = controllers(rng), seen(np.random.default_rng(1))
    onehot = np.broadcast_to(np.eye(C * T).reshape(C, 1, T, C * T), (C, 5, T, C * T))
    policy = Exact(C * T, DU)
    regress(policy, teacher, duals(), FREE, (data[0], onehot, data[2]), rng)
    means = np.einsum("ctij,cntj->cnti", teacher.K, data[0]).mean(1) + teacher.k
    np.testing.assert_allclose(policy.B.reshape(C, T, DU), means, atol=1e-9)


def test_where_controllers_disagree_the_policy_weighs_them_by_nu_and_precision():
    rng = np.random.default_rng(2)
    teacher = controllers(rng)
    x, _, w = seen(rng, N=1)
    nu = rng.uniform(0.2, 3.0, size=(C, T))
    policy = Exact(1, DU)
    regress(
        policy, teacher, Dual(np.zeros((C, T, DU)), nu), FREE, (x, np.ones((C, 1, T, 1)), w), rng
    )
    P = nu[..., None, None] * np.linalg.inv(teacher.cov)
    means = np.einsum("ctij,ctj->cti", teacher.K, x[:, 0]) + teacher.k
    expected = np.linalg.solve(P.sum((0, 1)), np.einsum("ctij,ctj->i", P, means))
    np.testing.assert_allclose(policy.B[0], expected, atol=1e-9)
    np.testing.assert_allclose(
        policy.cov, np.linalg.inv(np.linalg.inv(teacher.cov).mean((0, 1))), atol=1e-12
    )


def test_the_policys_mean_minimises_its_half_of_the_lagrangian():
    rng = np.random.default_rng(3)
    teacher = controllers(rng)
    x, _, w = seen(rng, N=1)
    dual = Dual(rng.normal(size=(C, T, DU)), rng.uniform(0.5, 2, size=(C, T)))
    policy = Exact(1, DU)
    regress(policy, teacher, dual, FREE, (x, np.ones((C, 1, T, 1)), w), rng)
    means = np.einsum("ctij,ctj->cti", teacher.K, x[:, 0]) + teacher.k
    precision = np.linalg.inv(teacher.cov)

    def objective(b):  # lambda' u + nu KL(pi || p), in the mean
        gap = b - means
        return (dual.lam @ b).sum() + 0.5 * (
            dual.nu * np.einsum("cti,ctij,ctj->ct", gap, precision, gap)
        ).sum()

    best = objective(policy.B[0])
    for step in 1e-3 * np.vstack([np.eye(DU), -np.eye(DU)]):
        assert objective(policy.B[0] + step) > best


def test_the_policys_covariance_minimises_its_divergence_from_the_controllers():
    rng = np.random.default_rng(4)
    teacher, policy = controllers(rng), Exact(1, DU)
    x, _, w = seen(rng, N=1)
    regress(policy, teacher, duals(), FREE, (x, np.ones((C, 1, T, 1)), w), rng)
    precision = np.linalg.inv(teacher.cov)

    def divergence(S):  # sum KL(N(0, S) || N(0, teacher)) without its constants
        return np.trace(precision @ S, axis1=-2, axis2=-1).sum() - C * T * np.linalg.slogdet(S)[1]

    best = divergence(policy.cov)
    for i, j in ((0, 0), (0, 1), (1, 1)):
        for sign in (1, -1):
            step = np.zeros((DU, DU))
            step[i, j] = step[j, i] = 1e-3 * sign
            assert divergence(policy.cov + step) > best


def test_states_that_were_not_used_do_not_teach():
    rng = np.random.default_rng(5)
    teacher, (x, _, w) = controllers(rng), seen(np.random.default_rng(1))
    w[:, 3:] = 0
    poison = np.where(w[..., None] > 0, x, 1e6)
    a, b = Exact(DX, DU), Exact(DX, DU)
    regress(a, teacher, duals(), FREE, (poison, poison, w), rng)
    regress(b, teacher, duals(), FREE, (x[:, :3], x[:, :3], w[:, :3]), rng)
    np.testing.assert_allclose(a.B, b.B, atol=1e-12)


def test_a_positive_multiplier_lifts_the_controllers_and_lowers_the_policy():
    rng = np.random.default_rng(6)
    dynamics, cost, x0 = linear_task(rng)
    old = controllers(rng)
    x = np.tile(forward(dynamics, old, x0).mean[:, None, :, :DX], (1, 2, 1, 1))
    local = local_of(old, x, np.zeros((C, 2, T, DU)))
    student = LinearGaussianController(
        np.zeros((C, T, DU, DX)), np.zeros((C, T, DU)), np.tile(np.eye(DU), (C, T, 1, 1))
    )
    means, tables = [], []
    for size in (0.0, 0.3):
        dual = duals(nu=5.0)
        dual.lam[0, 2, 1] = size
        y = shift(dual, np.eye(DU), FREE)
        extra = negative_log_density(student._replace(k=student.k + y), dual.nu)
        step = trajectory_step(local, dynamics, cost, np.full(C, 1e6), extra, dual.nu)
        means.append(step.mean[:, :-1, DX:])
        policy = Exact(C * T, DU)
        onehot = np.broadcast_to(np.eye(C * T).reshape(C, 1, T, C * T), (C, 2, T, C * T))
        regress(policy, old, dual, FREE, (local.x[:, :, :-1], onehot, local.used), rng)
        tables.append(policy.B.reshape(C, T, DU))
    assert means[1][0, 2, 1] > means[0][0, 2, 1]
    assert tables[1][0, 2, 1] < tables[0][0, 2, 1]
    np.testing.assert_allclose(
        means[1][1], means[0][1], atol=1e-6
    )  # the other condition does not care


def test_the_lean_adds_exactly_the_multiplier_to_the_controllers_cost():
    rng = np.random.default_rng(7)
    student, S = controllers(rng), np.array([[0.5, 0.2], [0.2, 0.3]])
    student = student._replace(cov=np.tile(S, (C, T, 1, 1)))
    dual = Dual(rng.normal(size=(C, T, DU)), rng.uniform(0.5, 2, size=(C, T)))
    with_lean = negative_log_density(student._replace(k=student.k + shift(dual, S, FREE)), dual.nu)
    without = negative_log_density(student, dual.nu)
    np.testing.assert_allclose(
        with_lean.c[:, :-1, DX:] - without.c[:, :-1, DX:], -dual.lam, atol=1e-12
    )
    across = np.einsum(
        "ctij,cti->ctj", student.K, dual.lam
    )  # lambda' (K x + k), the policy's action under p's states
    np.testing.assert_allclose(
        with_lean.c[:, :-1, :DX] - without.c[:, :-1, :DX], across, atol=1e-12
    )
    np.testing.assert_allclose(with_lean.C, without.C, atol=1e-12)


def test_the_lean_is_bounded_in_each_action():
    dual = duals(nu=2.0)
    dual.lam[0, 0], dual.lam[1, 1] = [100.0, -100.0], [0.02, 0.0]
    y = shift(dual, np.eye(DU), np.array([0.1, 0.2]))
    np.testing.assert_allclose(y[0, 0], [0.1, -0.2])
    np.testing.assert_allclose(y[1, 1], [0.01, 0.0])


def test_the_gap_is_the_policys_mean_action_less_the_controllers_under_its_states():
    rng = np.random.default_rng(8)
    student, teacher, (dynamics, _, x0) = controllers(rng), controllers(rng), linear_task(rng)
    under = forward(dynamics, teacher, x0)
    gap, kl = compare(student, teacher, under)
    x = rng.multivariate_normal(under.mean[1, 2, :DX], under.cov[1, 2, :DX, :DX], size=200_000)
    u = (
        x @ teacher.K[1, 2].T
        + teacher.k[1, 2]
        + rng.multivariate_normal(np.zeros(DU), teacher.cov[1, 2], size=len(x))
    )
    pi = x @ student.K[1, 2].T + student.k[1, 2]
    np.testing.assert_allclose(gap[1, 2], pi.mean(0) - u.mean(0), atol=0.01)

    def log(d, S):
        return (
            -0.5 * np.einsum("ni,ij,nj->n", d, np.linalg.inv(S), d) - 0.5 * np.linalg.slogdet(S)[1]
        )

    samples = log(u - x @ teacher.K[1, 2].T - teacher.k[1, 2], teacher.cov[1, 2]) - log(
        u - pi, student.cov[1, 2]
    )
    assert kl[1, 2] == pytest.approx(samples.mean(), rel=0.02)


def test_where_policy_and_controllers_agree_the_multipliers_stay():
    rng = np.random.default_rng(9)
    both, (dynamics, _, x0) = controllers(rng), linear_task(rng)
    dual = Dual(rng.normal(size=(C, T, DU)), rng.uniform(0.5, 2, size=(C, T)))
    gap, kl = compare(both, both, forward(dynamics, both, x0))
    after = update_dual(dual, gap, kl, 2 * both.cov, 0.5)
    np.testing.assert_allclose(after.lam, dual.lam, atol=1e-9)
    np.testing.assert_allclose(after.nu, dual.nu, atol=1e-9)


def test_the_multipliers_move_along_the_gap_in_units_of_the_covariance():
    rng = np.random.default_rng(10)
    dual = Dual(rng.normal(size=(C, T, DU)), rng.uniform(0.5, 2, size=(C, T)))
    gap = rng.normal(size=(C, T, DU))
    cov = controllers(rng).cov
    after = update_dual(dual, gap, np.ones((C, T)), cov, 0.3)
    for c in range(C):
        for t in range(T):
            moved = 0.3 * dual.nu[c, t] * np.linalg.inv(cov[c, t]) @ gap[c, t]
            np.testing.assert_allclose(after.lam[c, t] - dual.lam[c, t], moved, atol=1e-12)
    still = update_dual(dual, gap, np.ones((C, T)), cov, 0.0)
    np.testing.assert_allclose(still.lam, dual.lam, atol=1e-12)


def test_a_flat_cost_leaves_weights_that_can_be_gone_on_with():
    rng = np.random.default_rng(0)
    data = local_of(controllers(rng), np.zeros((C, 2, T + 1, DX)), np.zeros((C, 2, T, DU)), 0.0)
    dual = initial_dual(data._replace(variation=np.zeros(C)), 6e-6)
    cov = np.broadcast_to(np.eye(DU), (C, T, DU, DU))
    moved = update_dual(dual, np.full((C, T, DU), 0.1), np.ones((C, T)), cov, 0.2)
    np.testing.assert_allclose(moved.nu, dual.nu)
    np.testing.assert_allclose(shift(moved, cov, FREE), 0.02)  # rate times the gap


def test_nu_rises_where_the_two_disagree_more_keeps_its_mean_and_stays_bounded():
    rng = np.random.default_rng(11)
    dual = Dual(rng.normal(size=(C, T, DU)), rng.uniform(0.5, 2, size=(C, T)))
    kl = np.array([[1.0, 1, 1, 9], [4, 4, 4, 4]])
    after = update_dual(dual, np.zeros((C, T, DU)), kl, controllers(rng).cov, 0.3)
    growth = after.nu / dual.nu
    assert growth[0, 3] > 1 > growth[0, 0] == pytest.approx(growth[0, 1])
    np.testing.assert_allclose(growth[1], 1.0)
    np.testing.assert_allclose(after.nu.mean(1), dual.nu.mean(1))
    np.testing.assert_allclose(after.lam, dual.lam)
    for _ in range(100):
        after = update_dual(after, np.zeros((C, T, DU)), kl, controllers(rng).cov, 0.3)
    assert after.nu.max() <= 4 * after.nu.mean(1).max() * (1 + 1e-9)


def alternate(features, steps, rate=1.0, nu=3.0, seed=12, even=False):
    """Alternates controllers, policy and multipliers on a known world; returns what they came to,
    and its gaps.

    `features` (C, T, do) is what the policy sees; its mean actions are features @ B. With `even`,
    nu is evened out over the steps as in training; else it stays.
    """
    rng = np.random.default_rng(seed)
    dynamics, cost, x0 = linear_task(rng)
    x0 = Gaussian(x0.mean, 1e-12 * x0.cov)
    teacher, policy, dual = controllers(rng), Exact(features.shape[-1], DU), duals(nu=nu)
    o, w, gaps = features[:, None], np.ones((C, 1, T)), []
    start = local_of(
        teacher, np.tile(x0.mean[:, None, None], (1, 1, T + 1, 1)), np.zeros((C, 1, T, DU))
    )
    mean = forward(dynamics, teacher, x0).mean
    for _ in range(steps):
        x = mean[:, None, :-1, :DX]
        regress(policy, teacher, dual, FREE, (x, o, w), rng)
        student = linearise(x, policy.mean(o), policy.cov, w, reach=0)
        extra = negative_log_density(
            student._replace(k=student.k + shift(dual, policy.cov, FREE)), dual.nu
        )
        step = trajectory_step(start, dynamics, cost, np.full(C, 1e9), extra, dual.nu)
        teacher, mean = with_std(step.controller, np.ones(DU), 0.5), step.mean
        gap, kl = compare(student, teacher, TrajectoryDistribution(step.mean, step.cov))
        dual = update_dual(
            dual, gap, kl if even else np.ones((C, T)), policy.cov + teacher.cov, rate
        )
        gaps.append(np.abs(gap).max())
    return policy, mean[:, :-1, DX:], dual, np.array(gaps), mean_action_cost(dynamics, cost, x0)[:2]


def per_step():
    return np.tile(np.eye(T), (C, 1, 1))


WORLDS = {
    "one action for all": np.ones((C, T, 1)),
    "one action for each step": per_step(),
    "one action for each condition and step": np.eye(C * T).reshape(C, T, C * T),
}


@pytest.mark.parametrize("features", WORLDS.values(), ids=WORLDS)
def test_the_dual_update_converges_to_the_constrained_optimum(features):
    policy, actions, dual, gaps, (H, g) = alternate(features, 400)
    assert gaps[0] > 0.1
    assert gaps[-1] < 1e-4
    # minimise sum over conditions of 1/2 U'HU + g'U over U = features B, densely
    A = np.stack([np.kron(features[c], np.eye(DU)) for c in range(C)])  # (C, T du, do du)
    left = np.einsum("cip,cij,cjq->pq", A, H, A)
    B = np.linalg.lstsq(left, -np.einsum("cip,ci->p", A, g), rcond=None)[0]
    best = (A @ B).reshape(C, T, DU)
    np.testing.assert_allclose(features @ policy.B, best, atol=2e-3)
    np.testing.assert_allclose(actions, best, atol=2e-3)
    # at the optimum the multiplier is the slope of the cost along each action: the price of
    # agreeing
    slope = (np.einsum("cij,cj->ci", H, best.reshape(C, -1)) + g).reshape(C, T, DU)
    np.testing.assert_allclose(dual.lam, slope, atol=5e-2 * max(1.0, np.abs(slope).max()))


def test_without_the_dual_step_the_gap_stays():
    features = WORLDS["one action for all"]
    assert alternate(features, 400, rate=0.0)[3][-1] > 0.05


def test_the_gap_closes_while_nu_is_evened_out_over_the_steps():
    assert alternate(WORLDS["one action for all"], 400, even=True)[3][-100:].max() < 1e-2


def test_a_step_of_the_multipliers_raises_the_dual_objective():
    rng = np.random.default_rng(13)
    dynamics, cost, x0 = linear_task(rng)
    H, g, _ = mean_action_cost(dynamics, cost, x0)
    H, g = H[0], g[0]
    b, nu, S = (
        rng.normal(size=T * DU),
        0.7,
        controllers(rng).cov[0],
    )  # the policy stays at the actions b
    P = np.zeros((T * DU, T * DU))
    for t in range(T):
        P[t * DU : (t + 1) * DU, t * DU : (t + 1) * DU] = nu * np.linalg.inv(S[t])

    def actions(lam):
        return np.linalg.solve(H + P, P @ b + lam - g)

    def dual_objective(
        lam,
    ):  # the least over u of cost + lambda' (b - u) + nu/2 (u - b)' S^-1 (u - b)
        u = actions(lam)
        return 0.5 * u @ H @ u + g @ u + lam @ (b - u) + 0.5 * (u - b) @ P @ (u - b)

    dual = Dual(np.zeros((1, T, DU)), np.full((1, T), nu))
    values = []
    for _ in range(200):
        gap = (b - actions(dual.lam.ravel())).reshape(1, T, DU)
        values.append(dual_objective(dual.lam.ravel()))
        dual = update_dual(dual, gap, np.ones((1, T)), 2 * S[None], 0.5)
    assert (np.diff(values) > 0).all()
    assert dual_objective(H @ b + g) >= values[-1]  # its maximum, where u = b
    assert values[-1] > values[0] + 0.9 * (dual_objective(H @ b + g) - values[0])
