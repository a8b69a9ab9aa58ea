"""How good forecasts are. Values that are missing in the truth (NaN) count nowhere."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def metrics(
    answers: NDArray[np.floating], truth: NDArray[np.floating], naive_error: NDArray[np.floating]
) -> dict[str, float]:
    """Return mase, smape (from 0 to 2), mae and rmse.

    MASE relates the absolute error to that of the seasonal naive forecast among the training values of the same
    series: R. J. Hyndman and A. B. Koehler, "Another look at measures of forecast accuracy", 2006,
    https://doi.org/10.1016/j.ijforecast.2006.03.001.

    Args:
        answers: [n, horizon].
        truth: [n, horizon].
        naive_error: [n], above 0.
    """
    known = ~np.isnan(truth)
    forecast, true = answers.astype(float)[known], truth.astype(float)[known]
    error, size = np.abs(forecast - true), np.abs(forecast) + np.abs(true)
    scale = np.broadcast_to(naive_error.astype(float)[:, None], truth.shape)[known]
    return {
        "mase": float((error / scale).mean()),
        "smape": float(np.divide(2 * error, size, out=np.zeros_like(error), where=size > 0).mean()),
        "mae": float(error.mean()),
        "rmse": float(np.sqrt((error**2).mean())),
    }
