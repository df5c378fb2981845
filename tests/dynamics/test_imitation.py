"""An ensemble's student says what the ensemble says, at a fraction of the cost."""

import numpy as np

from dynamics import Ensemble


def test_a_student_tells_the_mean_and_the_variance_of_its_teacher():
    rng = np.random.default_rng(0)
    x, u = rng.standard_normal((200, 1)), rng.uniform(-1, 1, (200, 1))
    after = x + np.sin(x) + u + 0.2 * np.exp(u) * rng.standard_normal((200, 1))
    teacher = Ensemble(members=2, hidden=(8,), steps=100)
    teacher.fit(x, u, after, rng)
    student = Ensemble(members=1, hidden=(8,), steps=300)
    told = student.imitate(teacher, x, u, rng)
    p, q = teacher.predict(x, u), student.predict(x, u)
    v, w = p.cov[:, 0], q.cov[:, 0]
    # KL of the moment-matched Gaussians by draws: the mean of log p - log q
    draws = p.mean + np.sqrt(v) * rng.standard_normal((2000, 200, 1))
    log_p, log_q = (
        -0.5 * ((draws - g.mean) ** 2 / var + np.log(var)) for g, var in ((p, v), (q, w))
    )
    assert abs(told - (log_p - log_q).mean()) < 0.005
    assert told < 0.05
    np.testing.assert_allclose(w.mean(), v.mean(), rtol=0.15)
