"""How good predictions are."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

SMALLEST = 1e-7  # keeps the log loss of a confident mistake finite


def classification(probabilities: NDArray[np.floating], labels: NDArray[np.int64]) -> dict[str, float]:
    """Return accuracy, macro F1 (over the classes that occur) and log loss.

    Args:
        probabilities: [n, classes]; may have more classes than labels use.
        labels: int64 [n].
    """
    predicted = probabilities.argmax(axis=1)
    of_truth = np.clip(probabilities[np.arange(len(labels)), labels], SMALLEST, 1.0)
    return {
        "accuracy": float((predicted == labels).mean()),
        "macro_f1": _macro_f1(confusion(probabilities, labels)),
        "log_loss": float(-np.log(of_truth).mean()),
    }


def regression(values: NDArray[np.floating], labels: NDArray[np.floating]) -> dict[str, float]:
    """Return RMSE, MAE and R2 over all values; R2 of rows whose truth is constant is 1 when all is right, else 0.

    Args:
        values: predicted, [n, columns].
        labels: true, [n, columns].
    """
    truth = labels.astype(np.float64)
    errors = values.astype(np.float64) - truth
    squares, spread = float((errors**2).sum()), float(((truth - truth.mean(axis=0)) ** 2).sum())
    r2 = 1 - squares / spread if spread else float(squares == 0)
    return {"rmse": float(np.sqrt((errors**2).mean())), "mae": float(np.abs(errors).mean()), "r2": r2}


def ranking(scores: NDArray[np.floating], wanted: NDArray[np.bool_]) -> dict[str, float]:
    """Return how well scores rank the wanted rows first: average precision and ROC AUC.

    Average precision is the sum over all thresholds of the gain in recall times the precision (no interpolation;
    Davis and Goadrich, ICML 2006); rows of one score are taken together. ROC AUC is the chance that a wanted row has a
    higher score than another, ties counting half. Where all rows are of one kind they are 0 and 0.5.

    Args:
        scores: [n], the higher the more wanted.
        wanted: bool [n].
    """
    order = np.argsort(-scores, kind="stable")
    ends = np.append(np.flatnonzero(np.diff(scores[order])), len(scores) - 1)  # the last row of each score
    hits, taken = np.cumsum(wanted[order])[ends], ends + 1
    misses, found = taken - hits, int(wanted.sum())
    if found in (0, len(wanted)):
        return {"average_precision": 0.0, "roc_auc": 0.5}
    gains = np.diff(hits, prepend=0)
    below = misses[-1] - (misses + np.append(0, misses[:-1])) / 2  # others that rank lower, ties by half
    return {
        "average_precision": float((gains / found * (hits / taken)).sum()),
        "roc_auc": float((gains * below).sum() / (found * misses[-1])),
    }


def confusion(probabilities: NDArray[np.floating], labels: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return how many rows of each true class (first) were predicted as each class, int64 [classes, classes]."""
    classes = probabilities.shape[1]
    pairs = labels * classes + probabilities.argmax(axis=1)
    return np.bincount(pairs, minlength=classes * classes).reshape(classes, classes)


def _macro_f1(matrix: NDArray[np.int64]) -> float:
    hits, truth, predicted = np.diag(matrix), matrix.sum(axis=1), matrix.sum(axis=0)
    occurs = truth + predicted > 0
    return float((2 * hits[occurs] / (truth + predicted)[occurs]).mean())
