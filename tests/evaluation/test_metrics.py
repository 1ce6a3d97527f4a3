"""Every metric agrees with scikit-learn, with a sum by hand, or with the formula of its paper."""

import statistics

import numpy as np
import pytest
import sklearn.metrics as outside

from escnn.evaluation import metrics

LABELS = tuple("abcdef")


@pytest.fixture(scope="module")
def drawn() -> tuple[np.ndarray, np.ndarray]:
    """Truth and scores of 200 clips of 6 classes; class 5 is never true, class 4 never predicted."""
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 5, 200)
    scores = rng.dirichlet(np.ones(6), 200)
    scores[np.arange(200), truth] += rng.uniform(0, 0.6, 200)
    scores[:, 4] = 0
    return truth, scores / scores.sum(axis=1, keepdims=True)


def test_figures_agree_with_scikit_learn(drawn: tuple[np.ndarray, np.ndarray]) -> None:
    truth, scores = drawn
    predicted, classes = scores.argmax(axis=1), range(6)
    assert metrics.accuracy(truth, scores) == pytest.approx(outside.accuracy_score(truth, predicted))
    assert metrics.top_k_accuracy(truth, scores, 3) == pytest.approx(
        outside.top_k_accuracy_score(truth, scores, k=3, labels=classes)
    )
    possible = truth != 4  # a score of 0 is cut in other ways
    assert metrics.log_loss(truth[possible], scores[possible]) == pytest.approx(
        outside.log_loss(truth[possible], scores[possible], labels=classes)
    )
    matrix = metrics.confusion_matrix(truth, scores)
    np.testing.assert_array_equal(matrix, outside.confusion_matrix(truth, predicted, labels=classes))
    expected = outside.precision_recall_fscore_support(truth, predicted, labels=classes, zero_division=0)
    table = metrics.per_class(matrix, LABELS)
    assert table["clips"].tolist() == expected[3].tolist()
    for column, values in zip(("precision", "recall", "f1"), expected, strict=False):
        np.testing.assert_allclose(table[column][:5], values[:5], err_msg=column)
    assert table.loc[5, ["precision", "recall", "f1"]].isna().all()  # it has no clips: nothing was measured
    assert metrics.balanced_accuracy(truth, scores) == pytest.approx(outside.balanced_accuracy_score(truth, predicted))
    assert table["predicted"].tolist() == np.bincount(predicted, minlength=6).tolist()
    there = sorted(set(truth.tolist()))
    assert metrics.macro_f1(table) == pytest.approx(
        outside.f1_score(truth, predicted, labels=there, average="macro", zero_division=0)
    )


def test_most_confused_pairs_come_first_and_hits_never(drawn: tuple[np.ndarray, np.ndarray]) -> None:
    matrix = metrics.confusion_matrix(*drawn)
    pairs = metrics.most_confused(matrix, LABELS, 100)
    counts = [pair["clips"] for pair in pairs]
    assert counts == sorted(counts, reverse=True)
    assert sum(counts) == matrix.sum() - matrix.trace()
    assert all(pair["true"] != pair["predicted"] for pair in pairs)
    assert metrics.most_confused(matrix, LABELS, 2) == pairs[:2]
    assert matrix.trace() > 0  # the matrix itself is as it was


def test_calibration_error_and_log_loss_of_scores_worked_out_by_hand() -> None:
    truth, scores = np.array([0, 1, 1, 1]), np.array([[0.9, 0.1], [0.9, 0.1], [0.4, 0.6], [0.25, 0.75]])
    bins = metrics.calibration_bins(truth, scores)
    # bin of 0.9: half right, gap 0.4, half of the clips; 0.6 and 0.75: right, gaps 0.4 and 0.25, a quarter each
    assert metrics.calibration_error(bins) == pytest.approx(0.4 / 2 + 0.4 / 4 + 0.25 / 4)
    assert [(part.count, part.accuracy) for part in bins if part.count] == [(1, 1.0), (1, 1.0), (2, 0.5)]
    assert bins[13].mean_score == pytest.approx(0.9)
    assert metrics.log_loss(truth, scores) == pytest.approx(-np.log([0.9, 0.1, 0.6, 0.75]).mean())


def test_the_surest_score_has_a_bin_and_the_surest_mistake_a_finite_loss() -> None:
    truth, scores = np.array([1]), np.array([[1.0, 0.0]])
    assert metrics.calibration_bins(truth, scores)[-1] == metrics.CalibrationBin(1.0, 0.0, 1)
    assert 10 < metrics.log_loss(truth, scores) < 20


def test_of_equal_scores_the_first_class_is_named() -> None:
    truth, scores = np.array([0, 1]), np.full((2, 4), 0.25)
    assert metrics.accuracy(truth, scores) == 0.5
    assert metrics.top_k_accuracy(truth, scores, 2) == 1.0


def test_the_wilson_interval_is_that_of_the_books() -> None:
    assert metrics.wilson_interval(5, 10) == pytest.approx((0.2366, 0.7634), abs=1e-4)  # Brown, Cai, DasGupta, 2001
    assert metrics.wilson_interval(0, 10) == pytest.approx((0.0, 0.2775), abs=1e-4)
    assert metrics.wilson_interval(10, 10) == pytest.approx((0.7225, 1.0), abs=1e-4)
    low, high = metrics.wilson_interval(360, 400)
    for share in (low, high):  # the shares from which 360 lies just 1.96 deviations away
        assert abs(0.9 - share) == pytest.approx(1.959964 * (share * (1 - share) / 400) ** 0.5)


def test_mean_and_deviation_are_those_of_a_sample() -> None:
    mean, deviation = metrics.mean_and_deviation([0.7, 0.8, 0.9])
    assert (mean, deviation) == (pytest.approx(0.8), pytest.approx(0.1))
    assert deviation != pytest.approx(statistics.pstdev([0.7, 0.8, 0.9]))


@pytest.mark.parametrize("wrong_by", [0.5, 1.0, 3.0])
def test_the_temperature_undoes_what_made_scores_too_sure_or_too_modest(wrong_by: float) -> None:
    draw = np.random.default_rng(0)
    logits = draw.normal(size=(20_000, 5)) * 2
    honest = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    truth = (honest.cumsum(axis=1) > draw.random((len(honest), 1))).argmax(axis=1)  # drawn as the scores say
    distorted = np.exp(logits / wrong_by) / np.exp(logits / wrong_by).sum(axis=1, keepdims=True)
    assert metrics.fit_temperature(truth, distorted) == pytest.approx(1 / wrong_by, rel=0.05)
    assert metrics.calibration_error(metrics.calibration_bins(truth, honest)) < 0.02
