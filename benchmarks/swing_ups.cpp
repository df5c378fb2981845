// The swing-ups of systems.py as crocoddyl action models in C++, with analytic derivatives, and its DDP solver on them.
#include <cmath>
#include <memory>
#include <vector>

#include "crocoddyl/core/action-base.hpp"
#include "crocoddyl/core/optctrl/shooting.hpp"
#include "crocoddyl/core/solvers/ddp.hpp"
#include "crocoddyl/core/states/euclidean.hpp"

using namespace crocoddyl;
using Vector = Eigen::VectorXd;
using In = Eigen::Ref<const Vector>;

struct Model : public ActionModelAbstract {  // x' = x + dt [v + dt a; a], with a(x, u) of one of three mechanisms
  int kind;
  double dt;
  Vector w, goal;  // cost 1/2 sum w (xu - goal)^2
  Model(int kind, int dx, int du, double dt, const Vector& w, const Vector& goal)
      : ActionModelAbstract(std::make_shared<StateVector>(dx), du, 0), kind(kind), dt(dt), w(w), goal(goal) {}

  // accelerations a and, where A is given, their Jacobian (nv, dx + du)
  void accelerate(const In& x, const In& u, double* a, Eigen::MatrixXd* A) const {
    if (kind == 0) {
      a[0] = 9.81 * std::sin(x[0]) + u[0];
      if (A) *A << 9.81 * std::cos(x[0]), 0, 1;
    } else if (kind == 1) {
      const double s = std::sin(x[1]), c = std::cos(x[1]), m = 0.1, l = 0.5, g = 9.81, w2 = x[3] * x[3];
      const double d = 1 + m * s * s, p = u[0] + m * s * (l * w2 - g * c);
      a[0] = p / d;
      a[1] = (g * s - a[0] * c) / l;
      if (A) {
        const double dp = m * c * l * w2 - m * g * (c * c - s * s), dd = 2 * m * s * c;
        const double a1 = (dp - a[0] * dd) / d, a3 = 2 * m * s * l * x[3] / d, au = 1 / d;
        *A << 0, a1, 0, a3, au, 0, (g * c - a1 * c + a[0] * s) / l, 0, -a3 * c / l, -au * c / l;
      }
    } else {
      const double c = std::cos(x[1]), s = std::sin(x[1]), v0 = x[2], v1 = x[3];
      const double A0 = 5.0 / 3 + c, B0 = 1.0 / 3 + 0.5 * c, D0 = 1.0 / 3;
      const double r0 = u[0] + 0.5 * s * (2 * v0 * v1 + v1 * v1) - 0.1 * v0, r1 = u[1] - 0.5 * s * v0 * v0 - 0.1 * v1;
      const double det = A0 * D0 - B0 * B0;
      a[0] = (D0 * r0 - B0 * r1) / det;
      a[1] = (A0 * r1 - B0 * r0) / det;
      if (A) {  // M a = r: M da = dr - dM a
        const double e0 = 0.5 * c * (2 * v0 * v1 + v1 * v1) + s * a[0] + 0.5 * s * a[1];
        const double e1 = -0.5 * c * v0 * v0 + 0.5 * s * a[0];
        const double R0[6] = {0, e0, s * v1 - 0.1, s * (v0 + v1), 1, 0}, R1[6] = {0, e1, -s * v0, -0.1, 0, 1};
        for (int j = 0; j < 6; ++j) {
          (*A)(0, j) = (D0 * R0[j] - B0 * R1[j]) / det;
          (*A)(1, j) = (A0 * R1[j] - B0 * R0[j]) / det;
        }
      }
    }
  }

  CROCODDYL_BASE_DERIVED_CAST(ActionModelBase, Model)

  void price(const std::shared_ptr<ActionDataAbstract>& data, const In& x, const In* u) const {
    double cost = 0;
    for (int i = 0; i < x.size(); ++i) cost += 0.5 * w[i] * (x[i] - goal[i]) * (x[i] - goal[i]);
    if (u)
      for (int i = 0; i < u->size(); ++i)
        cost += 0.5 * w[x.size() + i] * ((*u)[i] - goal[x.size() + i]) * ((*u)[i] - goal[x.size() + i]);
    data->cost = cost;
  }
  void calc(const std::shared_ptr<ActionDataAbstract>& data, const In& x, const In& u) override {
    const int nv = x.size() / 2;
    double a[2];
    accelerate(x, u, a, nullptr);
    for (int i = 0; i < nv; ++i) {
      data->xnext[nv + i] = x[nv + i] + dt * a[i];
      data->xnext[i] = x[i] + dt * data->xnext[nv + i];
    }
    price(data, x, &u);
  }
  void calc(const std::shared_ptr<ActionDataAbstract>& data, const In& x) override {
    data->xnext = x;
    price(data, x, nullptr);
  }
  struct Data : public ActionDataAbstract {
    Eigen::MatrixXd A;
    explicit Data(Model* m) : ActionDataAbstract(m), A(m->get_state()->get_nx() / 2, m->get_state()->get_nx() + m->get_nu()) {
      const int dx = m->get_state()->get_nx(), du = m->get_nu();
      Lxx.diagonal() = m->w.head(dx);
      Luu.diagonal() = m->w.tail(du);
    }
  };
  std::shared_ptr<ActionDataAbstract> createData() override { return std::make_shared<Data>(this); }
  void calcDiff(const std::shared_ptr<ActionDataAbstract>& data, const In& x, const In& u) override {
    auto* d = static_cast<Data*>(data.get());
    const int dx = x.size(), nv = dx / 2, du = u.size();
    double a[2];
    accelerate(x, u, a, &d->A);
    for (int i = 0; i < nv; ++i)
      for (int j = 0; j < dx; ++j) {
        const double low = (j == nv + i) + dt * d->A(i, j);
        data->Fx(nv + i, j) = low;
        data->Fx(i, j) = (j == i) + dt * low;
      }
    for (int i = 0; i < nv; ++i)
      for (int j = 0; j < du; ++j) {
        data->Fu(nv + i, j) = dt * d->A(i, dx + j);
        data->Fu(i, j) = dt * dt * d->A(i, dx + j);
      }
    data->Lx = w.head(dx).cwiseProduct(x - goal.head(dx));
    data->Lu = w.tail(du).cwiseProduct(u - goal.tail(du));
  }
  void calcDiff(const std::shared_ptr<ActionDataAbstract>& data, const In& x) override {
    data->Lx = w.head(x.size()).cwiseProduct(x - goal.head(x.size()));
  }
};

struct Task {
  std::shared_ptr<ShootingProblem> problem;
  std::vector<Vector> U;
};

// kind 0 pendulum, 1 cart-pole, 2 arm; weights w and goal are those of xu, U is (T, du)
extern "C" void* make(int kind, int T, int dx, int du, double dt, const double* w, const double* w_final,
                      const double* goal, const double* x0, const double* U) {
  auto vector = [](const double* p, int n) { return Vector(Eigen::Map<const Vector>(p, n)); };
  auto model = [&](const double* weights) {
    return std::make_shared<Model>(kind, dx, du, dt, vector(weights, dx + du), vector(goal, dx + du));
  };
  std::vector<std::shared_ptr<ActionModelAbstract>> steps(T, model(w));
  auto* task = new Task{std::make_shared<ShootingProblem>(vector(x0, dx), steps, model(w_final)), {}};
  task->problem->set_nthreads(1);
  for (int t = 0; t < T; ++t) task->U.push_back(vector(U + t * du, du));
  return task;
}

// Solves from the rollout of U in at most so many iterations; returns the cost and how many were used.
extern "C" double run(void* handle, int iterations, int* used) {
  auto* task = static_cast<Task*>(handle);
  SolverDDP solver(task->problem);
  solver.solve(task->problem->rollout_us(task->U), task->U, iterations, true);
  *used = solver.get_iter();
  return solver.get_cost();
}
