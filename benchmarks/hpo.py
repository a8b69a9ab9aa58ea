"""How many epochs a search trains, over all its jobs, until digits are classified with an accuracy of 0.96.

    python -m benchmarks.hpo [SEEDS]

Every search trains examples/digits with the ``image`` recipe: the same Trainer, rows and loop, one job after the
other, each of the recipe's 15 epochs at most. Seeds are paired: the n-th search of each kind has the same seed for its
values and for its networks. Counted is every epoch of every job until 0.96 is first reached on the validation rows.

random       random search, every job to its end
tpe_asha     Optuna's TPESampler and SuccessiveHalvingPruner (ASHA), which may stop a job from its first epoch on
tandem       what ``[tune] jobs = 40`` does on the laptop: the ranges that the recipe suggests, searched by Bayesian
             optimisation (local/sagemaker/tuning_search.py). On AWS the ranges are the same, and SageMaker's own
             Bayesian search draws from them.

random and tpe_asha search the ranges of HPOBench's neural network benchmark (Eggensperger et al. 2021, NNBenchmark:
learning rate 1e-5 to 1, L2 penalty 1e-8 to 1, batches of 4 to 256), and the recipe's widths: somebody has to choose
ranges, and these were chosen by people who did not know this recipe. What Tandem brings is the recipe's own ranges,
narrow around settings that were measured. How much of the difference is theirs is shown by two more searches, to
which no goal applies:

random_narrow, tpe_asha_narrow   the same two within the recipe's ranges
"""

from __future__ import annotations

import contextlib
import io
import json
import statistics
import sys
import tempfile
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import optuna
import torch

from benchmarks import side_by_side
from contract import keys, names
from contract.errors import TrainingFailed
from contract.request import RunRequest, Upload, build_request
from contract.tuning import text
from functions.tuning import ranges
from local.sagemaker.tuning_search import Search
from local.sagemaker.tuning_space import Parameter, parameters
from training.cluster import Cluster
from training.config import TrainConfig
from training.container import Container
from training.prepare import prepare
from training.train import Trainer

DIGITS = Path(__file__).parents[1] / "examples" / "digits"
TARGET, SEEDS, JOBS = 0.96, 20, 40
FIRST_SEED = 200  # those below were looked at while the recipe's ranges were chosen
GOALS = {"random": side_by_side.Goal(at_most=0.25), "tpe_asha": side_by_side.Goal(at_most=1.0)}
GENERIC = [
    Parameter(name="learning_rate", kind="Continuous", low=1e-5, high=1.0, scaling="Logarithmic"),
    Parameter(name="weight_decay", kind="Continuous", low=1e-8, high=1.0, scaling="Logarithmic"),
    Parameter(name="batch_size", kind="Integer", low=4, high=256, scaling="Logarithmic"),
    Parameter(name="options.width", kind="Categorical", values=("16", "32", "64")),
]
OnEpoch = Callable[[int, float], bool]


class Reached(Exception):
    """The target accuracy is reached: the search is over."""


class Stopped(Exception):
    """The search ends this job early."""


class WatchedTrainer(Trainer):
    """A trainer that tells each epoch's accuracy and can be stopped by it."""

    on_epoch: OnEpoch

    def finish_epoch(self) -> None:
        """Tell the accuracy; raises Stopped."""
        super().finish_epoch()
        line = self.progress.history[-1]
        if self.on_epoch(int(line["epoch"]), line["validation_accuracy"]):
            raise Stopped


@dataclass(kw_only=True)
class Budget:
    """What one search has trained so far."""

    epochs: int = 0
    jobs: int = 0
    reached: bool = False


@dataclass(kw_only=True)
class Digits:
    """The prepared dataset, and how to train on it."""

    request: RunRequest
    folder: Path
    jobs: int = field(default=0)

    def train(self, values: Mapping[str, str], seed: int, budget: Budget, on_epoch: OnEpoch) -> float:
        """Run one training job with the tuned ``values``; return its last accuracy.

        Raises:
            Reached: the accuracy is high enough.
            Stopped: ``on_epoch`` says so.
            TrainingFailed: the loss is not a number.
        """
        budget.jobs += 1
        trainer = WatchedTrainer(self._config(values, seed), self._container(), Cluster())
        accuracies: list[float] = []

        def watch(epoch: int, accuracy: float) -> bool:
            budget.epochs += 1
            accuracies.append(accuracy)
            if accuracy >= TARGET:
                budget.reached = True
                raise Reached
            return on_epoch(epoch, accuracy)

        trainer.on_epoch = watch
        with contextlib.redirect_stdout(io.StringIO()):
            trainer.run()
        return accuracies[-1]

    def _config(self, values: Mapping[str, str], seed: int) -> TrainConfig:
        train = {name: text(value) for name, value in vars(self.request.train).items()}
        fixed = {"recipe": "image", "seed": str(seed), "checkpoint_every": "1000", "hosts": "1"}
        return TrainConfig.from_hyperparameters({**train, **fixed, **values})

    def _container(self) -> Container:
        self.jobs += 1
        container = Container(base=self.folder / f"job-{self.jobs}")
        config = container.base / "input" / "config"
        config.mkdir(parents=True)
        (config / "resourceconfig.json").write_text(json.dumps({"current_host": "algo-1", "hosts": ["algo-1"]}))
        (container.base / names.TRAINING_INPUTS).symlink_to(self.folder / "channels")
        return container


def prepared(folder: Path) -> Digits:
    """Prepare examples/digits as a run does."""
    upload = Upload(bucket="bench", key="digits.zip", version_id="1", bytes=0, files=1)
    project = tomllib.loads((DIGITS / "project.toml").read_text())
    console = {"tenant": "bench", "project": "digits", "tune": {"jobs": JOBS}}
    request = build_request(run="bench", console=console, project_toml=project, upload=upload)
    for name in ("upload", "out", "channels"):
        (folder / name).mkdir()
    (folder / "upload" / "digits.zip").symlink_to(DIGITS / "digits.zip")
    report = prepare(request, upload=folder / "upload", salt=b"", out=folder / "out")
    if not report.accepted:
        raise RuntimeError(f"digits: {report.reasons}")
    for split in ("train", "validation"):
        (folder / "channels" / split).symlink_to(folder / "out" / keys.DATASET / split)
    (folder / "channels" / "schema").symlink_to(folder / "out" / keys.DATASET)
    return Digits(request=request, folder=folder)


def tandem(digits: Digits, seed: int, budget: Budget) -> None:
    """Search as [tune] does."""
    search = Search(
        name=f"hpo-{seed}", strategy="Bayesian", spaces={"": recipe_space(digits)}, maximise=True, jobs=JOBS, seed=seed
    )
    for job in range(JOBS):
        proposal = search.propose()

        def on_epoch(epoch: int, accuracy: float, number: int = proposal.number) -> bool:
            return search.report(number, accuracy)

        try:
            accuracy = digits.train(proposal.values, _network_seed(seed, job), budget, on_epoch)
            search.tell(proposal.number, accuracy, stopped=False)
        except Reached:
            return
        except TrainingFailed:
            budget.epochs += 1
            search.tell(proposal.number, None, stopped=False)


def with_optuna(
    space: list[Parameter], make: Callable[[int], tuple[Any, Any]]
) -> Callable[[Digits, int, Budget], None]:
    """Return a search by Optuna; ``make`` gives sampler and pruner of a seed."""

    def search(digits: Digits, seed: int, budget: Budget) -> None:
        def objective(trial: optuna.Trial) -> float:
            def on_epoch(epoch: int, accuracy: float) -> bool:
                trial.report(accuracy, epoch)
                return trial.should_prune()

            values = {each.name: each.suggest(trial, each.name) for each in space}
            try:
                return digits.train(values, _network_seed(seed, trial.number), budget, on_epoch)
            except Reached:
                study.stop()
                return TARGET
            except Stopped as stopped:
                raise optuna.TrialPruned from stopped
            except TrainingFailed:
                budget.epochs += 1
                raise

        sampler, pruner = make(seed)
        study = optuna.create_study(direction="maximize", sampler=sampler, pruner=pruner)
        study.optimize(objective, n_trials=JOBS, catch=TrainingFailed)

    return search


def random_search(seed: int) -> tuple[Any, Any]:
    """Return Optuna's random sampler, and no pruner."""
    return optuna.samplers.RandomSampler(seed=seed), optuna.pruners.NopPruner()


def tpe_asha(seed: int) -> tuple[Any, Any]:
    """Return TPE with its defaults, and asynchronous successive halving from the first epoch on."""
    # min_resource "auto" would let the first job go unmeasured, so nothing could be stopped in its light.
    return optuna.samplers.TPESampler(seed=seed), optuna.pruners.SuccessiveHalvingPruner(min_resource=1)


def recipe_space(digits: Digits) -> list[Parameter]:
    """Return the ranges that a project without [tune.ranges] gets, by the way they take to SageMaker."""
    (candidate,) = digits.request.candidates
    return parameters(ranges(candidate.ranges))


def measure(digits: Digits, search: Callable[[Digits, int, Budget], None], seed: int) -> Budget:
    """Return what a search trained until the target was reached."""
    budget = Budget()
    search(digits, seed, budget)
    if not budget.reached:
        raise RuntimeError(f"{TARGET} was not reached in {JOBS} jobs (seed {seed}): raise JOBS")
    return budget


def _network_seed(seed: int, job: int) -> int:
    return 1000 * seed + job


def main() -> int:
    """Measure all searches, seed by seed; return the exit status."""
    seeds = int(sys.argv[1]) if len(sys.argv) > 1 else SEEDS
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        digits = prepared(Path(folder))
        narrow = recipe_space(digits)
        searches = {
            "random": with_optuna(GENERIC, random_search),
            "tpe_asha": with_optuna(GENERIC, tpe_asha),
            "tandem": tandem,
            "random_narrow": with_optuna(narrow, random_search),
            "tpe_asha_narrow": with_optuna(narrow, tpe_asha),
        }
        found: dict[str, list[Budget]] = {name: [] for name in searches}
        for seed in range(FIRST_SEED, FIRST_SEED + seeds):
            for name, search in searches.items():
                found[name].append(measure(digits, search, seed))
            print(
                f"seed {seed}: " + ", ".join(f"{name} {each[-1].epochs}" for name, each in found.items()),
                file=sys.stderr,
            )
    return side_by_side.report(
        "hpo",
        [_row(name, each) for name, each in found.items()],
        ratios={name: _mean(found["tandem"]) / _mean(each) for name, each in found.items() if name != "tandem"},
        goals=GOALS,
    )


def _row(name: str, each: list[Budget]) -> dict[str, object]:
    epochs = [budget.epochs for budget in each]
    return {
        "search": name,
        "mean epochs": _mean(each),
        "median": float(statistics.median(epochs)),
        "most": max(epochs),
        "jobs": statistics.fmean(budget.jobs for budget in each),
    }


def _mean(each: list[Budget]) -> float:
    return statistics.fmean(budget.epochs for budget in each)


if __name__ == "__main__":
    sys.exit(main())
