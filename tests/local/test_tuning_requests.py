"""What CreateHyperParameterTuningJob refuses, before any training job is made."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from local.cloud import Cloud
from local.sagemaker import shapes, tuning_rules, tuning_warm
from local.sagemaker.errors import Refused
from tests.local import sagemaker as sm
from tests.local import tuning as tn

Change = Callable[[dict[str, Any]], object]


def request(**config: Any) -> dict[str, Any]:
    return tn.tuning(tn.definition("image", "bucket", StaticHyperParameters={"epochs": "9", "colour": "red"}), **config)


def two(**config: Any) -> dict[str, Any]:
    ones = [
        tn.definition(
            "image", "bucket", DefinitionName=name, TuningObjective=dict(tn.MAXIMISE), HyperParameterRanges=tn.X
        )
        for name in ("a", "b")
    ]
    return tn.several(copy.deepcopy(ones), **config)


def changed(made: dict[str, Any], change: Change) -> dict[str, Any]:
    made = copy.deepcopy(made)
    change(made)
    return made


def config(made: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = made["HyperParameterTuningJobConfig"]
    return found


def continuous(low: str, high: str, scaling: str = "Auto", name: str = "x") -> dict[str, Any]:
    return {"ContinuousParameterRanges": [{"Name": name, "MinValue": low, "MaxValue": high, "ScalingType": scaling}]}


def integer(low: str, high: str, scaling: str = "Auto") -> dict[str, Any]:
    return {"IntegerParameterRanges": continuous(low, high, scaling)["ContinuousParameterRanges"]}


def test_what_aws_takes_is_taken() -> None:
    for made in (
        request(),
        two(),
        request(Strategy="Grid", jobs=None, ParameterRanges=tn.CHOICES),
        request(Strategy="Grid", jobs=4, ParameterRanges=tn.CHOICES),
        request(Strategy="Hyperband"),  # MaxResource comes from epochs
        request(ParameterRanges=integer("1", "9", "Logarithmic")),
        request(ParameterRanges=continuous("0", "0.999", "ReverseLogarithmic")),
    ):
        tuning_rules.check(made)


@pytest.mark.parametrize(
    ("made", "reason"),
    [
        (request(ParameterRanges=continuous("1", "1")), "'1' and MaxValue '1' are not allowed; MinValue must be less"),
        (request(ParameterRanges=continuous("2", "1")), "MinValue must be less than MaxValue"),
        (request(ParameterRanges=continuous("low", "1")), "must be finite numbers"),
        (request(ParameterRanges=continuous("0", "inf")), "must be finite numbers"),
        (request(ParameterRanges=integer("1.5", "3")), "must be integers"),
        (request(ParameterRanges=continuous("0", "1", "Logarithmic")), "must be greater than 0"),
        (request(ParameterRanges=continuous("0", "1", "ReverseLogarithmic")), "in 0 <= x < 1"),
        (request(ParameterRanges=integer("0", "1", "ReverseLogarithmic")), "not supported for integers"),
        (request(ParameterRanges={}), "At least one hyperparameter range"),
        (request(ParameterRanges={**continuous("0", "1"), **integer("0", "1")}), "'x' has more than one range"),
        (request(ParameterRanges=continuous("1", "2", name="epochs")), "'epochs' is given both a range and a value"),
        (
            request(ParameterRanges={"CategoricalParameterRanges": [{"Name": "x", "Values": ["a", "a"]}]}),
            "has a value twice",
        ),
        (request(ParameterRanges={"AutoParameters": [{"Name": "x", "ValueHint": "1"}]}), "AutoParameters is not emul"),
    ],
)  # fmt: skip
def test_ranges_that_contradict_are_refused(made: dict[str, Any], reason: str) -> None:
    with pytest.raises(Refused, match=reason):
        tuning_rules.check(made)


@pytest.mark.parametrize(
    ("made", "reason"),
    [
        (request(Strategy="Grid"), "Grid strategy takes categorical ranges only; not categorical: x"),
        (request(Strategy="Grid", jobs=3, ParameterRanges=tn.CHOICES), "the ranges have 4 combinations"),
        (request(Strategy="Hyperband", TrainingJobEarlyStoppingType="Auto"), "EarlyStoppingType must be Off"),
        (
            changed(
                request(Strategy="Hyperband"), lambda r: r["TrainingJobDefinition"]["StaticHyperParameters"].clear()
            ),
            "needs StrategyConfig.HyperbandStrategyConfig.MaxResource",
        ),
        (
            request(Strategy="Hyperband", StrategyConfig={"HyperbandStrategyConfig": {"MinResource": 10}}),
            "MinResource 10 is greater than MaxResource 9",
        ),
        (request(StrategyConfig={"HyperbandStrategyConfig": {"MaxResource": 3}}), "only for the Hyperband strategy"),
        (request(jobs=None), "MaxNumberOfTrainingJobs is required"),
        (request(jobs=751), "at most 750 training jobs"),
        (request(jobs=2, parallel=3), "MaxParallelTrainingJobs 3 is greater than MaxNumberOfTrainingJobs 2"),
        (
            request(TuningJobCompletionCriteria={"ConvergenceDetected": {"CompleteOnConvergence": "Enabled"}}),
            "ConvergenceDetected is not emulated",
        ),
        ({**request(), "Autotune": {"Mode": "Enabled"}}, "Autotune is not emulated"),
    ],
)  # fmt: skip
def test_strategies_and_limits_that_contradict_are_refused(made: dict[str, Any], reason: str) -> None:
    with pytest.raises(Refused, match=reason):
        tuning_rules.check(made)


@pytest.mark.parametrize(
    ("made", "reason"),
    [
        ({**request(), "TrainingJobDefinitions": []}, "Exactly one of TrainingJobDefinition and"),
        (changed(request(), lambda r: r.pop("TrainingJobDefinition")), "Exactly one of"),
        (changed(request(), lambda r: config(r).pop("ParameterRanges")), "ParameterRanges is required"),
        (changed(two(), lambda r: config(r).update(ParameterRanges=tn.X)), "cannot be given with TrainingJobDefini"),
        (changed(two(), lambda r: r["TrainingJobDefinitions"][1].pop("DefinitionName")), r"2\.member\.DefinitionName"),
        (changed(two(), lambda r: r["TrainingJobDefinitions"][0].pop("TuningObjective")), r"1\.member\.TuningObjecti"),
        (
            changed(two(), lambda r: r["TrainingJobDefinitions"][0].update(DefinitionName="b")),
            "must be unique within a tuning job",
        ),
        (
            changed(two(), lambda r: r["TrainingJobDefinitions"][0]["TuningObjective"].update(Type="Minimize")),
            "same objective Type",
        ),
        (two(TrainingJobEarlyStoppingType="Auto"), "Auto is not supported with TrainingJobDefinitions"),
        ({**two(), "WarmStartConfig": {}}, "WarmStartConfig is not supported with TrainingJobDefinitions"),
        (
            request(HyperParameterTuningJobObjective={"Type": "Maximize", "MetricName": "other"}),
            "'other' is not in the MetricDefinitions of the algorithm; defined are: score",
        ),
        (
            changed(
                request(),
                lambda r: r["TrainingJobDefinition"]["AlgorithmSpecification"].update(
                    MetricDefinitions=[{"Name": "score", "Regex": "score=.*"}]
                ),
            ),
            "has no group for the value",
        ),
        (
            changed(
                request(),
                lambda r: r["TrainingJobDefinition"].update(HyperParameterTuningResourceConfig={"InstanceCount": 1}),
            ),
            "Exactly one of ResourceConfig and",
        ),
        (
            changed(request(), lambda r: r["TrainingJobDefinition"].update(EnableManagedSpotTraining=True)),
            "MaxWaitTimeInSeconds must be specified",
        ),
    ],
)  # fmt: skip
def test_definitions_that_contradict_are_refused(made: dict[str, Any], reason: str) -> None:
    with pytest.raises(Refused, match=reason):
        tuning_rules.check(made)


class TestWarmStart:
    def child(self, change: Change = lambda made: None, kind: str = "TransferLearning") -> dict[str, Any]:
        return changed({**request(), "WarmStartConfig": {"WarmStartType": kind}}, change)

    def check(self, child: dict[str, Any], parent: dict[str, Any], status: str = "Completed") -> None:
        tuning_warm.check(child, {"parent": parent}, {"parent": status})

    def test_other_ranges_and_a_static_value_that_is_tuned_now_are_fine(self) -> None:
        def tune_colour(made: dict[str, Any]) -> None:
            del made["TrainingJobDefinition"]["StaticHyperParameters"]["colour"]
            config(made)["ParameterRanges"] = {
                **continuous("5", "6"), "CategoricalParameterRanges": [{"Name": "colour", "Values": ["red", "blue"]}],
            }  # fmt: skip

        self.check(self.child(tune_colour), request())

    @pytest.mark.parametrize(
        ("change", "reason"),
        [
            (
                lambda r: config(r)["HyperParameterTuningJobObjective"].update(Type="Minimize"),
                "objective metric must be the same",
            ),
            (
                lambda r: r["TrainingJobDefinition"]["StaticHyperParameters"].update(size="1"),
                "static HyperParameter names is not the same .* Not in both, here and in parent: size",
            ),
            (lambda r: config(r).update(ParameterRanges=integer("0", "1")), "'x' is Integer, but Continuous in parent"),
        ],
    )
    def test_what_does_not_fit_the_parent_is_refused(self, change: Change, reason: str) -> None:
        with pytest.raises(Refused, match=reason):
            self.check(self.child(change), request())

    def test_a_parent_that_still_runs_is_refused(self) -> None:
        with pytest.raises(Refused, match="parent is InProgress; it must be"):
            self.check(self.child(), request(), "InProgress")

    def test_a_parent_of_several_definitions_is_refused(self) -> None:
        with pytest.raises(Refused, match="several training job definitions"):
            self.check(self.child(), two())

    def test_static_values_may_change_five_times(self) -> None:
        def static(count: int, value: str) -> Change:
            return lambda made: made["TrainingJobDefinition"]["StaticHyperParameters"].update(
                {f"v{number}": value for number in range(count)}
            )

        self.check(self.child(static(5, "new")), changed(request(), static(5, "old")))
        with pytest.raises(Refused, match=r"have 12 changes .* at most 10 .*: v0 \(2\)"):
            self.check(self.child(static(6, "new")), changed(request(), static(6, "old")))

    def test_identical_data_and_algorithm_means_it(self) -> None:
        def other_image(made: dict[str, Any]) -> None:
            made["TrainingJobDefinition"]["AlgorithmSpecification"]["TrainingImage"] = "other"

        self.check(self.child(other_image), request())
        with pytest.raises(Refused, match="TrainingImage differs from that of parent"):
            self.check(self.child(other_image, "IdenticalDataAndAlgorithm"), request())


@pytest.fixture(scope="module")
def failed(cloud: Cloud) -> str:
    """The name of a tuning job that has ended, because there is no such image."""
    made = tn.tuning(tn.definition("no-such-image", sm.bucket(cloud)), jobs=1, parallel=1)
    assert tn.tune(cloud, made)["HyperParameterTuningJobStatus"] == "Failed"
    return str(made["HyperParameterTuningJobName"])


class TestOperations:
    def test_a_name_is_taken_whatever_its_case(self, cloud: Cloud, failed: str) -> None:
        with pytest.raises(ClientError) as refused:
            tn.tune(cloud, {**request(), "HyperParameterTuningJobName": failed.upper()})
        assert refused.value.response["Error"]["Code"] == "ResourceInUse"

    def test_names_have_at_most_32_characters(self, cloud: Cloud) -> None:
        with pytest.raises(ClientError, match="length less than or equal to 32"):
            tn.tune(cloud, {**request(), "HyperParameterTuningJobName": "x" * 33})

    def test_there_are_no_entry_points(self) -> None:
        made = request()
        made["TrainingJobDefinition"]["AlgorithmSpecification"]["ContainerEntrypoint"] = ["python3"]
        with pytest.raises(Refused, match=r"algorithmSpecification\.containerEntrypoint'.*unknown member"):
            shapes.check("sagemaker", "CreateHyperParameterTuningJob", made)

    def test_what_is_unknown_is_not_found(self, cloud: Cloud) -> None:
        client = cloud.client("sagemaker")
        for call in (
            client.describe_hyper_parameter_tuning_job,
            client.stop_hyper_parameter_tuning_job,
            client.list_training_jobs_for_hyper_parameter_tuning_job,
        ):
            with pytest.raises(ClientError) as refused:
                call(HyperParameterTuningJobName="nobody")
            assert refused.value.response["Error"]["Code"] == "ResourceNotFound"

    def test_parents_must_exist(self, cloud: Cloud) -> None:
        warm = {
            "ParentHyperParameterTuningJobs": [{"HyperParameterTuningJobName": "nobody"}],
            "WarmStartType": "TransferLearning",
        }
        with pytest.raises(ClientError, match="can't find a tuning job with the name nobody"):
            tn.tune(cloud, {**request(), "WarmStartConfig": warm})

    def test_tuning_jobs_are_listed_and_filtered(self, cloud: Cloud, failed: str) -> None:
        client = cloud.client("sagemaker")
        found = client.list_hyper_parameter_tuning_jobs(NameContains=failed)["HyperParameterTuningJobSummaries"]
        assert [each["HyperParameterTuningJobName"] for each in found] == [failed]
        assert found[0]["Strategy"] == "Bayesian"
        assert found[0]["ResourceLimits"] == {"MaxNumberOfTrainingJobs": 1, "MaxParallelTrainingJobs": 1}
        assert not client.list_hyper_parameter_tuning_jobs(NameContains=failed, StatusEquals="Completed")[
            "HyperParameterTuningJobSummaries"
        ]

    def test_a_deleted_tuning_job_is_gone_and_its_training_jobs_stay(self, cloud: Cloud) -> None:
        client = cloud.client("sagemaker")
        made = tn.tuning(tn.definition("no-such-image", sm.bucket(cloud)), jobs=1, parallel=1)
        name = made["HyperParameterTuningJobName"]
        tn.tune(cloud, made)
        client.delete_hyper_parameter_tuning_job(HyperParameterTuningJobName=name)
        with pytest.raises(ClientError, match="can't find"):
            client.describe_hyper_parameter_tuning_job(HyperParameterTuningJobName=name)
        assert len(client.list_training_jobs(NameContains=name)["TrainingJobSummaries"]) == 1
