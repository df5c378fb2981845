"""The places where the library calls a function of a user, one line each in PLACES."""

from types import SimpleNamespace
from typing import Any, NamedTuple

import gymnasium
import numpy as np
from every_method import Cart

import lqr
from agents.imagine import imagine
from agents.planners import PLANNERS
from agents.planners.models import LearnedModel, ProjectedModel, SimulatorModel
from agents.planners.objective import Objective
from agents.rollout import metrics_of, rollout, run
from agents.tasks.adapters.gymnasium_task import GymnasiumTask
from agents.tasks.adapters.robot import RobotTask
from agents.tasks.adapters.user_task import OwnTask
from agents.tasks.costs.user_cost import UserCost
from agents.tasks.wrappers.encoded import Encoded
from dynamics import fit_linear_gaussian
from dynamics.base import Tangent
from dynamics.priors.flat import FlatPrior
from dynamics.priors.linearised import Linearised
from dynamics.priors.simulator import IdentifiedSimulator
from dynamics.propagation import propagate
from lqr import Action, Gaussian, WeightedNorm
from lqr.cost_terms import Sum

A, B = np.array([[1.0, 0.3], [-0.1, 0.9]]), np.array([[0.1], [0.4]])
COST = WeightedNorm([1.0, 0.5], target=[0.4, -0.3]) + Action(0.1)
START, T = np.array([1.0, 0.3]), 3
GUESS = 0.1 * np.arange(1.0, 1 + T)[:, None]
LIMITS: Any = {"action_low": [-1.0], "action_high": [1.0], "horizon": T}


class Place(NamedTuple):
    """A good function, what comes out of the library with it, and what an error has to name."""

    good: Any
    use: Any  # function -> arrays
    culprit: str
    fine: Any = ()  # what may pass, as it is documented


def step(x, u):
    return x @ A.T + np.sin(u) @ B.T


def jacobian(X, U):
    return np.concatenate([np.broadcast_to(A, (*U.shape[:-1], 2, 2)), B * np.cos(U)[..., None]], -1)


def hessian(X, U):
    H = np.zeros((*U.shape[:-1], 2, 3, 3))
    H[..., 2, 2] = -B[:, 0] * np.sin(U)
    return H


def limit(X, U):
    G = np.zeros((*X.shape[:-1], 1, 3))
    G[..., 0] = 1.0
    return X[..., :1] - 0.9, G


class Given:
    """A cost of two functions."""

    def __init__(self, value=COST, expand=COST.expand):
        self.value, self.expand = value, expand

    def __call__(self, X, U):
        return self.value(X, U)


def solved(dynamics=step, cost=COST, solve=lqr.ilqr, **options):
    start = np.stack([START, -START]) if options.get("vectorised") else START
    U = np.stack([GUESS, -GUESS]) if options.get("vectorised") else GUESS
    first = (dynamics, cost, limit) if solve is lqr.constrained_ilqr else (dynamics, cost)
    if "constraint" in options:
        first = (dynamics, cost, options.pop("constraint"))
    found = solve(*first, start, U, low=-1.0, high=1.0, max_iterations=3, **options)
    found = found.solution if solve is lqr.constrained_ilqr else found
    return found.X, found.U, found.cost


def constrained(**change):
    return solved(solve=lqr.constrained_ilqr, max_rounds=2, **change)


def shot(dynamics=step, cost=COST, **options):
    X = np.tile(START, (T + 1, 1))
    found = lqr.multiple_shooting(dynamics, cost, START, X, GUESS, max_iterations=3, **options)
    return found.X, found.U, found.cost


def plain(x, u):
    return x[..., 0] ** 2 + 0.3 * x[..., 1] ** 2 + 0.2 * np.cos(x[..., 0]) + 0.1 * (u**2).sum(-1)


def final(x):
    return 2.0 * (x**2).sum(-1)


def receding(plant=step, plan=lambda x, U: lqr.ilqr(step, COST, x, U, max_iterations=1)):
    return lqr.receding_horizon(plant, plan, START, GUESS, 3)


def expanded(cost):
    X, U = np.stack([START, 0 * START, -START, START])[None], GUESS[None]
    return (cost(X, U), *cost.expand(X, U))


def shown(task, act=None, where=(0, 1)):
    """Returns episodes in these conditions, a constant action each time."""
    act = act or (lambda x, o, t: np.full((len(x), 1), 0.3))
    found = run(task, act, np.array(where), np.random.default_rng(0))
    return [*found, *metrics_of(task, found).values()]


TOLD = ("reward", "over")


def simulator(**methods):
    """Returns what makes simulators, some of whose methods are functions of their state."""
    state = {"x": START}

    def reset(condition, rng):
        state["x"] = START * (1.0 - condition)
        return state["x"].copy()

    def moved(u):
        state["x"] = step(state["x"], u)
        return state["x"].copy()

    def asked(name):
        return lambda *given: methods[name](state, *given)

    names = {"reset": reset, "step": moved} | {name: asked(name) for name in methods}
    told = {name: property(lambda self, f=names[name]: f()) for name in names if name in TOLD}
    names = {name: f for name, f in names.items() if name not in TOLD}
    kind = type("Sim", (), {name: staticmethod(f) for name, f in names.items()} | told)
    return kind


def own(cost=COST, metrics=None, make=None, **methods):
    task = OwnTask(make or simulator(**methods), cost, conditions=2, metrics=metrics, **LIMITS)
    return shown(task)


def moves(state, u):
    state["x"] = step(state["x"], u)
    return state["x"].copy()


def resets(state, condition, rng):
    state["x"] = START * (1.0 - condition)
    return state["x"].copy()


class Env(gymnasium.Env):
    """The same world as an environment."""

    action_space = gymnasium.spaces.Box(-1.0, 1.0, (1,), np.float64)
    observation_space = gymnasium.spaces.Box(-9.0, 9.0, (2,), np.float64)

    def reset(self, *, seed=None, options=None):
        self.x = START.copy()
        return self.x.copy(), {}

    def step(self, action):
        self.x = step(self.x, action)
        return self.x.copy(), -float(self.x @ self.x), False, False, {}


def environment(**methods):
    kind = type("Env", (Env,), methods)
    return shown(GymnasiumTask(kind, horizon=T, conditions=2))


class Driver:
    """The same world as a robot."""

    def __init__(self):
        self.x, self.now = START, 0.0

    def read(self):
        return self.x.copy()

    def command(self, u):
        self.x = step(self.x, u)

    def stop(self):
        pass


def placed(driver, condition):
    driver.x = START * (1.0 - condition)


def robot(put_back=placed, **methods):
    driver = type("Driver", (Driver,), methods)()

    def sleep(seconds):
        driver.now += seconds

    task = RobotTask(
        driver,
        COST,
        conditions=2,
        dt=0.1,
        put_back=lambda condition: put_back(driver, condition),
        clock=lambda: driver.now,
        sleep=sleep,
        attempts=2,
        patience=600.0,
        **LIMITS,
    )
    return shown(task)[:5]


def task(**methods):
    """Episodes of a user's task in batches."""
    made = Cart(cost=COST)
    for name, function in methods.items():
        setattr(made, name, lambda *given, f=function: f(made, *given))
    return shown(made)


def encoded(function):
    """Episodes of codes."""
    coder = type("Coder", (), {"d": 2, "__call__": lambda self, seen: function(seen)})()
    return shown(Encoded(Cart(cost=COST), coder, cost=COST))


class Acting:
    """A policy of one function."""

    def __init__(self, sample):
        self.sample = sample


def acts(function):
    return list(rollout(Cart(), Acting(function), np.arange(2), 1, np.random.default_rng(0)))


def planned(word="random", **cost):
    made = Given(**cost)
    objective = Objective(SimulatorModel(Cart()), made, START, 0, 3, 6, np.random.default_rng(0))
    low, high = -np.ones(1), np.ones(1)
    settings = {"iterations": 2} if word == "gradient" else {"samples": 8}
    planner = PLANNERS[word](**settings)
    plan = planner(objective, np.zeros((0, 3, 1)), low, high, np.random.default_rng(0))
    return plan.U, plan.cost


class Known:
    """A model of functions."""

    def __init__(self, **methods):
        self.__dict__.update({name: f for name, f in GOOD_MODEL.items() if name not in methods})
        self.__dict__.update(methods)

    def state(self):
        return {}


def predicted(x, u):
    return Gaussian(step(x, u), np.broadcast_to(0.01 * np.eye(2), (*x.shape, 2)).copy())


def drawn(x, u, rng):
    return step(x, u) + 0.1 * rng.standard_normal(x.shape)


def tangent(x, u):
    return Tangent(step(x, u), jacobian(x, u), predicted(x, u).cov)


GOOD_MODEL = {
    "fit": lambda x, u, xnext, rng: None,
    "predict": predicted,
    "sample": drawn,
    "linearise": tangent,
}


def ahead(propagation, **methods):
    plans = np.stack([GUESS, -GUESS])
    return propagate(Known(**methods), START, plans, np.random.default_rng(0), propagation, 1)


def data():
    rng = np.random.default_rng(0)
    x, u = rng.normal(size=(1, 5, T + 1, 2)), rng.normal(size=(1, 5, T, 1))
    return x, u


def linearised(**methods):
    x, u = data()
    prior = Linearised(Known(**methods))
    for _ in range(2):
        prior.update(*(a.reshape(-1, a.shape[-1]) for a in (x[:, :, :-1], u, x[:, :, 1:])))
    return [*fit_linear_gaussian(x, u, prior).dynamics, *prior.buffer.transitions]


class Believing:
    """A prior of one function."""

    def __init__(self, at):
        self.at = at


def fitted(at):
    x, u = data()
    return [*fit_linear_gaussian(x, u, Believing(at)).dynamics, x, u]


def believed(x, u, xnext):
    prior = FlatPrior()
    prior.update(*(a.reshape(-1, a.shape[-1]) for a in (x, u, xnext)))
    return prior.at(x, u, xnext)


def identified(simulate):
    class Stepped:
        parameters = ("mass",)

        def __call__(self, x, u, factors):
            return simulate(x, u, factors)

    x, u = (a.reshape(-1, a.shape[-1]) for a in (data()[0][:, :, :-1], data()[1]))
    model = IdentifiedSimulator(identify=False)
    model.attach(SimpleNamespace(simulator=Stepped(), name="own"))
    model.fit(x, u, step(x, u) + 0.01, np.random.default_rng(0))
    return [*model.predict(x, u), model.linearise(x[:2], u[:2]).jacobian, x, u]


def imagined(**functions):
    given = {"step": step, "act": lambda x, o, t: np.full((*x.shape[:-1], 1), 0.2)} | functions
    x0 = np.stack([START, -START])
    return list(imagine(x0=x0, horizon=T, low=-np.ones(1), high=np.ones(1), **given))


def projected(project):
    model = ProjectedModel(Known(), project)
    x, u = np.stack([START, -START]), np.ones((2, 1))
    return model.step(x, u), model.jacobian(x, u), x


def slope(linearise):
    return LearnedModel(Known(linearise=linearise)).jacobian(START[None], GUESS[:1])


def on_circle(x):
    return x / np.linalg.norm(x, axis=-1, keepdims=True)


def near(x, u):
    return ((x - 0.3) ** 2).sum(-1) + 0.1 * (u**2).sum(-1) + np.sin(x[:, 0])


IGNORED = {"None", "NaN", "a word", "None, later", "NaN, later"}  # nobody asks for an answer
DIVERGES = {"NaN", "NaN, later"}  # no number of a simulator is a divergence of its episode
SILENT = {"None", "None, later", "NaN", "NaN, later"}  # None says go on
NO = {"None", "None, later"}  # None says no
LATE = {"NaN, later"}
SMALLER = {"a scalar", "a 0-d array"}  # one number of another size is one, if it is so each time
PLACES = {
    "lqr: dynamics": Place(step, lambda f: solved(f), "dynamics"),
    "lqr: dynamics, DDP": Place(step, lambda f: solved(f, second_order=True), "dynamics"),
    "lqr: dynamics, with a jacobian": Place(step, lambda f: solved(f, jacobian=jacobian), "dynamics"),
    "lqr: dynamics, vectorised": Place(step, lambda f: solved(f, vectorised=True), "dynamics"),
    "lqr: dynamics, any axes": Place(step, lambda f: solved(f, vectorised="any"), "dynamics"),
    "lqr: jacobian": Place(jacobian, lambda f: solved(jacobian=f), "jacobian"),
    "lqr: jacobian, vectorised": Place(jacobian, lambda f: solved(jacobian=f, vectorised=True), "jacobian"),
    "lqr: jacobian, any axes": Place(jacobian, lambda f: solved(jacobian=f, vectorised="any"), "jacobian"),
    "lqr: hessian": Place(hessian, lambda f: solved(jacobian=jacobian, hessian=f), "hessian"),
    "lqr: cost": Place(COST, lambda f: solved(cost=Given(value=f)), "cost"),
    "lqr: cost.expand": Place(COST.expand, lambda f: solved(cost=Given(expand=f)), r"cost\.expand"),
    "lqr: cost of a batch": Place(COST, lambda f: solved(cost=Given(value=f), vectorised=True), "cost"),
    "lqr: a term of a sum": Place(COST, lambda f: solved(cost=Sum((COST, Given(value=f)))), "Given|cost"),
    "lqr: a term's expand": Place(COST.expand, lambda f: solved(cost=Sum((COST, Given(expand=f)))), "Given"),
    "lqr: a window's cost": Place(COST, lambda f: solved(cost=lqr.window(Given(value=f), 1, T, T + 2)), "cost"),
    "lqr: solve_qp": Place(lqr.solve_box_qp, lambda f: solved(solve_qp=f), "solve_qp"),
    "lqr: callback": Place(lambda p: None, lambda f: solved(callback=f), "callback", SILENT),
    "lqr: constraint": Place(limit, lambda f: constrained(constraint=f), "constraint"),
    "lqr: cost under constraints": Place(COST, lambda f: constrained(cost=Given(value=f)), "cost"),
    "lqr: equality": Place(limit, lambda f: constrained(constraint=f, equality=True), "constraint"),
    "lqr: a plain cost": Place(plain, lambda f: solved(cost=f), "cost"),
    "lqr: a plain cost's end": Place(final, lambda f: solved(cost=lqr.CostFunction(plain, f)), "final|cost"),
    "lqr: shooting, dynamics": Place(step, lambda f: shot(f), "dynamics"),
    "lqr: shooting, jacobian": Place(jacobian, lambda f: shot(jacobian=f), "jacobian"),
    "lqr: shooting, cost": Place(COST, lambda f: shot(cost=Given(value=f)), "cost"),
    "lqr: shooting, cost.expand": Place(COST.expand, lambda f: shot(cost=Given(expand=f)), r"cost\.expand"),
    "lqr: plant": Place(step, lambda f: receding(plant=f), "plant"),
    "lqr: plan": Place(lambda x, U: lqr.ilqr(step, COST, x, U, max_iterations=1), lambda f: receding(plan=f), "plan"),
    "a cost in NumPy": Place(near, lambda f: expanded(UserCost(f, 2, 1)), "cost"),
    "own task: make": Place(simulator(), lambda f: own(make=f), "own", DIVERGES),
    "own task: reset": Place(resets, lambda f: own(reset=f), "own"),
    "own task: step": Place(moves, lambda f: own(step=f), "own", DIVERGES),
    "own task: observe": Place(lambda state: state["x"] * 2, lambda f: own(observe=f), "own", SMALLER),
    "own task: reward": Place(lambda state: float(state["x"].sum()), lambda f: own(cost=None, reward=f), "own"),
    "own task: over": Place(lambda state: False, lambda f: own(over=f), "own", NO),
    "own task: metrics": Place(lambda x, u: {"far": x[:, -1, 0]}, lambda f: own(metrics=f), "own", DIVERGES),
    "own task: cost": Place(near, lambda f: own(cost=f), "own"),
    "own task: a Cost": Place(COST, lambda f: own(cost=Given(value=f)), "own"),
    "own task: its expand": Place(COST.expand, lambda f: own(cost=Given(expand=f)), "own"),
    "environment: make": Place(Env, lambda f: shown(GymnasiumTask(f, horizon=T)), "Env|bad|gave|both", DIVERGES),
    "environment: reset": Place(Env.reset, lambda f: environment(reset=lambda self, **how: f(self)), "Env"),
    "environment: step": Place(Env.step, lambda f: environment(step=lambda self, u: f(self, u)), "Env", DIVERGES),
    "robot: read": Place(Driver.read, lambda f: robot(read=lambda self: f(self)), "robot|weights"),
    "robot: command": Place(Driver.command, lambda f: robot(command=lambda self, u: f(self, u)), "robot", IGNORED),
    "robot: put_back": Place(placed, lambda f: robot(put_back=f), "put_back|robot", SILENT),
    "robot: observe": Place(Driver.read, lambda f: robot(observe=lambda self: f(self)), "robot", SMALLER),
    "task: reset": Place(lambda self, *how: Cart.reset(self, *how), lambda f: task(reset=f), "cart"),
    "task: step": Place(lambda self, u: Cart.step(self, u), lambda f: task(step=f), "cart", DIVERGES),
    "task: observe": Place(lambda self: Cart.observe(self), lambda f: task(observe=f), "cart", LATE),
    "task: done": Place(lambda self: Cart.done(self), lambda f: task(done=f), "cart"),
    "task: metrics": Place(lambda self, x, u: {"far": x[:, -1, 0]}, lambda f: task(metrics=f), "cart", DIVERGES),
    "task: cost": Place(lambda self, X, U: COST(X, U), lambda f: task(cost=f), "cart"),
    "encoder": Place(lambda x: 2.0 * x, encoded, "encoder"),
    "policy: sample": Place(lambda o, t, rng: -0.5 * o[:, :1], acts, "actor|action"),
    "planner: cost": Place(COST, lambda f: planned(value=f), "cost"),
    "planner: cost.expand": Place(COST.expand, lambda f: planned("gradient", expand=f), r"cost\.expand"),
    "model: fit": Place(GOOD_MODEL["fit"], lambda f: linearised(fit=f), "Known", IGNORED),
    "model: predict": Place(predicted, lambda f: ahead("mean", predict=f), "Known", DIVERGES),
    "model: sample": Place(drawn, lambda f: ahead("sample", sample=f), "Known", DIVERGES),
    "model: linearise": Place(tangent, lambda f: linearised(linearise=f), "Known"),
    "model: its tangent, for plans": Place(tangent, slope, "Known"),
    "prior: at": Place(believed, fitted, "Believing"),
    "simulator of a prior": Place(lambda x, u, factors: step(x, u), identified, "simulator", DIVERGES),
    "imagined: step": Place(step, lambda f: imagined(step=f), "step", DIVERGES),
    "imagined: act": Place(lambda x, o, t: -0.5 * x[:, :1], lambda f: imagined(act=f), "actor", DIVERGES),
    "imagined: o": Place(lambda x: 2 * x, lambda f: imagined(observation_of=f), "observation_of", DIVERGES),
    "imagined: cost": Place(COST, lambda f: imagined(cost=f), "cost", DIVERGES),
    "imagined: ended": Place(lambda x: x[:, 0] > 9.0, lambda f: imagined(ended=f), "ended", DIVERGES),
    "states that can be": Place(on_circle, projected, "project", DIVERGES),
}  # fmt: skip
