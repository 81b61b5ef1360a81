"""Scores against AVCA's own evaluator and their invariants."""

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neurozsl.scoring.metrics import BETA_GRID, Problem, chance_hm, score, search_beta
from neurozsl.training.protocol import PROTOCOLS


def golden() -> tuple[npt.NDArray[np.float64], Problem]:
    """The case that was run through AVCA's own `get_best_evaluation` (6 classes, ids 0..3 used)."""
    words = np.array([[0, 0], [1, 0], [0, 1], [1, 1], [9, 9], [9, 9]], dtype=float)
    videos = [(0.1, 0), (0.4, 0), (0, 0.9), (0.45, 0.05), (0.2, 0.1), (0.9, 0.9), (0.3, 0.8)]
    distance = np.linalg.norm(np.array(videos)[:, None] - words[None], axis=-1)
    label = np.array([0, 0, 2, 1, 1, 3, 3])
    return distance, Problem(label, np.array([0, 2]), np.array([1, 3]))


def test_the_beta_search_gives_what_avcas_evaluator_gives() -> None:
    scores = search_beta(*golden())
    assert scores.beta == pytest.approx(0.6)
    assert (scores.S, scores.U, scores.ZSL) == (75.0, 100.0, 100.0)
    assert pytest.approx(85.7143, abs=1e-4) == scores.HM


def test_the_grid_of_the_public_code_gives_the_same_with_its_stand_in_for_zero() -> None:
    grid = PROTOCOLS["avca"].betas()
    assert search_beta(*golden(), grid) == search_beta(*golden())
    far, problem = golden()
    far = far + 10 * np.isin(np.arange(6), problem.unseen_ids)  # no beta up to 3 helps: a tie
    assert search_beta(far, problem, grid).beta == 1e-10
    assert search_beta(far, problem).beta == 0.0


def test_the_first_of_equally_good_betas_is_taken() -> None:
    distance, problem = golden()
    scores = [score(distance, problem, beta) for beta in BETA_GRID]
    best = max(s.HM for s in scores)
    first = next(s for s in scores if s.HM == best)
    assert sum(s.HM == best for s in scores) > 1
    assert search_beta(distance, problem) == first


def test_a_fixed_beta_gives_what_avcas_evaluator_gives() -> None:
    scores = score(*golden(), 0.35)
    assert (scores.S, scores.U, scores.ZSL) == (75.0, 50.0, 100.0)
    assert pytest.approx(60.0) == scores.HM


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 10_000), st.floats(0, 3))
def test_zsl_is_never_below_u(seed: int, beta: float) -> None:
    generator = np.random.default_rng(seed)
    label = np.repeat(np.arange(6), 4)
    distance = generator.random((24, 6)) * 3
    scores = score(distance, Problem(label, np.arange(4), np.arange(4, 6)), beta)
    assert scores.ZSL >= scores.U


def test_scoring_leaves_the_distances_as_they_were() -> None:
    distance, problem = golden()
    before = distance.copy()
    search_beta(distance, problem)
    assert np.array_equal(before, distance)


def test_chance_of_a_perfect_model_is_far_below_its_score() -> None:
    label = np.repeat(np.arange(10), 20)
    distance = 1.0 - np.eye(10)[label]
    problem = Problem(label, np.arange(7), np.arange(7, 10))
    assert score(distance, problem, 0.0).HM == 100.0
    assert chance_hm(distance, problem, 0.0) < 60.0
