"""The network of the recipe ``forecast``: a seasonal mean, and what a linear map and a small network add to it.

Linear maps of the history are hard to beat: A. Zeng et al., "Are Transformers Effective for Time Series
Forecasting?", AAAI 2023, https://arxiv.org/abs/2205.13504. The mean of the past seasons is the first forecast, and
the rest is learned. One network serves all series; each window is seen relative to its own level and spread, so
that a large and a small series look alike.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import nn

from contract.timeline import DAY, YEAR

CLIP = 8.0  # spreads; one absurd value must not decide alone
LEAST_SPREAD = 0.02  # of the target's deviation over all series
PERIODS = (DAY, 7 * DAY, YEAR)
HARMONICS = 3


class Clock(nn.Module):
    """Times int64 [n, 1], seconds since 1970, to where they are in the day, the week and the year, float32 [n, width].

    Args:
        step: seconds between two values; only longer periods tell something.
        span: seconds of the training times; only periods that they hold twice can be learned.
    """

    periods: torch.Tensor
    harmonics: torch.Tensor

    def __init__(self, *, step: float, span: float) -> None:
        super().__init__()
        periods = [period for period in PERIODS if 2 * step <= period <= span / 2]
        self.width = len(periods) * HARMONICS * 2
        self.register_buffer("periods", torch.tensor(periods, dtype=torch.int64))
        self.register_buffer("harmonics", torch.arange(1.0, HARMONICS + 1) * 2 * math.pi)

    def forward(self, start: torch.Tensor) -> torch.Tensor:
        """Tell the time."""
        share = torch.remainder(start, self.periods).float() / self.periods.float()
        angle = (share.unsqueeze(2) * self.harmonics).flatten(1)
        return torch.cat([angle.sin(), angle.cos()], dim=1)


class Forecaster(nn.Module):
    """History float32 [n, steps] (NaN where missing), start int64 [n, 1], category int64 [n, 1] to [n, horizon].

    What comes out is standardised by the target's statistics, as what is learned from is inside.

    Args:
        history, season, horizon: in steps.
        mean, std: of the training values.
        clock: reads the start.
        series: how many series are told apart; 0 when there is no category.
        hidden: units of the hidden layer.
        embedding: numbers that describe one series.
    """

    mean: torch.Tensor
    std: torch.Tensor
    ahead: torch.Tensor

    def __init__(
        self, *, history: int, season: int, horizon: int, mean: float, std: float,
        clock: Clock, series: int, hidden: int, embedding: int,
    ) -> None:  # fmt: skip
        super().__init__()
        self.season, self.seasons = season, history // season
        self.clock = clock
        self.register_buffer("mean", torch.tensor(mean))
        self.register_buffer("std", torch.tensor(std))
        self.register_buffer("ahead", torch.arange(horizon) % season)
        self.names = nn.Embedding(series + 1, embedding) if series else None
        if self.names is not None:
            nn.init.zeros_(self.names.weight[0])  # never learned: a series that is not known is like none in particular
        width = history + clock.width + (embedding if series else 0)
        self.linear = _silent(nn.Linear(history, horizon))
        self.network = nn.Sequential(nn.Linear(width, hidden), nn.ReLU(), _silent(nn.Linear(hidden, horizon)))

    def forward(self, history: torch.Tensor, start: torch.Tensor, *category: torch.Tensor) -> torch.Tensor:
        """Forecast."""
        there = ~torch.isnan(history)
        values = torch.where(there, (history - self.mean) / self.std, torch.zeros_like(history))
        level, spread = self._level(values, there.float())
        relative = ((values - level) / spread).clamp(-CLIP, CLIP) * there.float()
        profile = self._profile(relative, there.float())
        missing = (1 - there.float()) * _repeated(profile, history.shape[1], self.seasons)
        relative = relative + missing
        seen: Sequence[torch.Tensor] = [relative, self.clock(start)]
        if self.names is not None:
            seen = [*seen, self.names(category[0][:, 0])]
        steps = profile.index_select(1, self.ahead) + self.linear(relative) + self.network(torch.cat([*seen], dim=1))
        return steps * spread + level

    def _level(self, values: torch.Tensor, there: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return mean and deviation of each window, [n, 1]; of one without a value 0 and the least spread."""
        count = there.sum(dim=1, keepdim=True).clamp(min=1)
        level = (values * there).sum(dim=1, keepdim=True) / count
        square = ((values - level) ** 2 * there).sum(dim=1, keepdim=True) / count
        return level, square.sqrt().clamp(min=LEAST_SPREAD)

    def _profile(self, relative: torch.Tensor, there: torch.Tensor) -> torch.Tensor:
        """Return the mean of the window's seasons at each of their steps, [n, season]; 0 where all miss it."""
        tail = self.season * self.seasons
        values = relative[:, -tail:].reshape(-1, self.seasons, self.season).sum(dim=1)
        counts = there[:, -tail:].reshape(-1, self.seasons, self.season).sum(dim=1)
        return values / counts.clamp(min=1)


def _repeated(profile: torch.Tensor, steps: int, seasons: int) -> torch.Tensor:
    """Return the profile over a whole history, which ends with a whole season."""
    return torch.cat([profile] * (seasons + 1), dim=1)[:, -steps:]


def _silent(layer: nn.Linear) -> nn.Linear:
    """Return a layer that says 0 until it has learned: training begins at the seasonal mean."""
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer
