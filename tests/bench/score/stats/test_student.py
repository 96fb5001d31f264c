"""Student's t, one at a time and many at once, against SciPy."""

from __future__ import annotations

import numpy as np
import pytest

from bench.score.stats.jackknife import estimate, estimates
from bench.score.stats.student import quantile, two_sided_p, two_sided_ps

stats = pytest.importorskip("scipy.stats", reason="needs SciPy, the oracle")


@pytest.mark.parametrize("degrees", [1.0, 2.0, 4.5, 29.0, 499.0, 5000.0])
@pytest.mark.parametrize("level", [0.5, 0.05, 1e-3, 1e-7, 1e-12])
def test_quantiles_are_those_of_scipy_and_have_their_p(degrees, level):
    t = quantile(degrees, level)
    assert t == pytest.approx(stats.t.isf(level / 2, degrees), rel=1e-9)
    assert two_sided_p(t, degrees) == pytest.approx(level, rel=1e-9)


def test_many_p_values_are_those_of_one_at_a_time():
    random = np.random.default_rng(0)
    t = np.concatenate([random.standard_normal(200) * 10 ** random.uniform(-6, 4, 200), [0.0, np.inf, -np.inf, 1e-200]])
    degrees = random.choice([1.0, 3.0, 99.0, 499.0], len(t))
    expected = [two_sided_p(float(one), float(of)) for one, of in zip(t, degrees, strict=True)]
    assert two_sided_ps(t, degrees) == pytest.approx(expected, rel=1e-12, abs=1e-300)


@pytest.mark.parametrize("seed", range(10))
def test_many_estimates_are_those_of_one_at_a_time(seed):
    random = np.random.default_rng(seed)
    rows = random.standard_normal((20, int(random.integers(1, 9))))
    rows[random.random(rows.shape) < 0.4] = np.nan
    error, degrees = estimates(rows)
    for row, its_error, its_degrees in zip(rows, error, degrees, strict=True):
        one = estimate(0.0, row)
        assert (one is None) == bool(np.isnan(its_error))
        if one is not None:
            assert (its_error, its_degrees) == (pytest.approx(one.error), one.degrees)
