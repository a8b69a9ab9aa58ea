"""What the states ask AWS for: every expression evaluated, every field checked against AWS's own models."""

from __future__ import annotations

import json
from typing import Any

import botocore.session
import pytest
from botocore.validate import ParamValidator

from contract import keys, names
from contract.config import Deploy
from contract.request import Upload, build_request
from functions import rollout, scaling, tuning
from local.stepfunctions.jsonata import fill
from tests.functions import examples

States = dict[str, dict[str, Any]]
CONTEXT: dict[str, Any] = {
    "Execution": {"Id": "arn:execution", "Name": "e", "StartTime": "2026", "RedriveCount": 0},
    "State": {"Name": "Plan compute", "RetryCount": 2},
    "Task": {"Token": "token"},
}
OPERATIONS = {
    "sagemaker:createTrainingJob.sync": ("sagemaker", "CreateTrainingJob"),
    "aws-sdk:sagemaker:createHyperParameterTuningJob": ("sagemaker", "CreateHyperParameterTuningJob"),
    "aws-sdk:sagemaker:describeHyperParameterTuningJob": ("sagemaker", "DescribeHyperParameterTuningJob"),
    "aws-sdk:sagemaker:stopHyperParameterTuningJob": ("sagemaker", "StopHyperParameterTuningJob"),
    "sagemaker:createProcessingJob.sync": ("sagemaker", "CreateProcessingJob"),
    "sagemaker:createTransformJob.sync": ("sagemaker", "CreateTransformJob"),
    "aws-sdk:sagemaker:createModel": ("sagemaker", "CreateModel"),
    "aws-sdk:sagemaker:createEndpointConfig": ("sagemaker", "CreateEndpointConfig"),
    "aws-sdk:sagemaker:createEndpoint": ("sagemaker", "CreateEndpoint"),
    "aws-sdk:sagemaker:updateEndpoint": ("sagemaker", "UpdateEndpoint"),
    "aws-sdk:sagemaker:deleteEndpoint": ("sagemaker", "DeleteEndpoint"),
    "aws-sdk:sagemaker:describeEndpoint": ("sagemaker", "DescribeEndpoint"),
    "aws-sdk:cloudwatch:putMetricAlarm": ("cloudwatch", "PutMetricAlarm"),
    "aws-sdk:cloudwatch:describeAlarms": ("cloudwatch", "DescribeAlarms"),
    **{
        f"aws-sdk:applicationautoscaling:{name[0].lower()}{name[1:]}": ("application-autoscaling", name)
        for name in ("RegisterScalableTarget", "DeregisterScalableTarget", "PutScalingPolicy")
    },
    "aws-sdk:sagemaker:updateModelPackage": ("sagemaker", "UpdateModelPackage"),
    "aws-sdk:s3:getObject": ("s3", "GetObject"),
    "aws-sdk:s3:headObject": ("s3", "HeadObject"),
    "aws-sdk:ecr:describeImages": ("ecr", "DescribeImages"),
    "dynamodb:getItem": ("dynamodb", "GetItem"),
    "dynamodb:putItem": ("dynamodb", "PutItem"),
    "dynamodb:updateItem": ("dynamodb", "UpdateItem"),
    "dynamodb:deleteItem": ("dynamodb", "DeleteItem"),
    "codebuild:startBuild.sync": ("codebuild", "StartBuild"),
    "lambda:invoke": ("lambda", "Invoke"),
    "lambda:invoke.waitForTaskToken": ("lambda", "Invoke"),
}


FLEET = Deploy(target="realtime", max_latency_ms=200)
QUEUE = Deploy(target="async", min_instances=0, max_instances=3, backlog_per_instance=5.0)
SCALING = scaling.policies("acme--tab--async", {"AllTraffic": QUEUE}, names.tags("acme", "tab", "r"))
VARIANT = rollout.variant("acme--tab--v1", FLEET)
ALARM = rollout.alarms("acme--tab--realtime", "AllTraffic", FLEET, names.tags("acme", "tab", "r"))[1]
WATCH = {name: {"alarms": [ALARM["AlarmName"]], "minutes": 5} for name in ("shadow", "challenger")}
WARM_START = {
    "ParentHyperParameterTuningJobs": [{"HyperParameterTuningJobName": "earlier-tune-0-0-0"}],
    "WarmStartType": "TransferLearning",
}


def evaluate(template: Any, variables: dict[str, Any]) -> Any:
    """Do what Step Functions does with a template: strings in brackets are JSONata, all else is literal."""
    return fill(template, "test", variables)


@pytest.fixture
def variables() -> dict[str, Any]:
    """The variables of a run on its way, with everything that makes expressions fail: quotes, unicode, one item."""
    upload = Upload(bucket="data-bucket", key="acme/tab/inbox/a.csv", version_id="v1", bytes=3_000_000_000, files=1)
    train = {"hosts": 2, "epochs": 3, "fallback_instances": ["ml.m5.xlarge"]}
    request = build_request(
        run="tab-0123456789",
        console={
            "tenant": "acme",
            "project": "tab",
            "train": train,
            "prepare": {"target": 'the "y" \u2014 ü'},
            "tune": {"jobs": 4, "ranges": {"learning_rate": {"min": 1e-4, "max": 1e-1, "scale": "log"}}},
        },
        project_toml={},
        upload=upload,
    )
    plan: dict[str, Any] = {
        "train": {
            "instance": "ml.g5.xlarge", "ladder": ["ml.g5.xlarge", "ml.m5.xlarge"], "hosts": 2, "spot": True,
            "volume_gb": 40, "start": "", "max_runtime_seconds": 3600, "max_wait_seconds": 5400,
        },
        "tune": tuning.tune_part(request, examples.dataset()),
        "evaluate": {"instance": "ml.m5.xlarge", "volume_gb": 30, "max_runtime_seconds": 1800},
    }  # fmt: skip
    plan["tune"] |= {"warm_start": WARM_START}
    deployment = {
        "image_uri": "registry/images:0", "model_name": "acme--tab--v1",
        "config_name": "acme--tab--v1", "model_data_url": "s3://artifacts-bucket/m.tar.gz",
        "endpoint": "acme--tab--serverless", "staging": "acme--tab--staging",
        "tags": names.tags("acme", "tab", "r"), "target": "serverless", "version": 1,
        "previous_config": "acme--tab--v0", "champion": "", "run": "r", "golden_uri": "s3://artifacts-bucket/golden.json",
        "package_arn": "arn:package", "poll_seconds": 5, "ab_percent": 10, "watch": WATCH, "alarms": [ALARM],
        "prefix": "acme/tab/batch/golden/acme--tab--v1/", "batch_instance": "ml.m5.large",
        "configuration": {"ProductionVariants": [VARIANT]}, "staging_config": "acme--tab--v1-s",
        "staging_variant": VARIANT, "update": {"DeploymentConfig": rollout.deployment_config(Deploy(), ["a"])},
        "shadow": {"config_name": "acme--tab--v1-w", "ProductionVariants": [VARIANT],
                   "ShadowProductionVariants": [VARIANT]},
        "scaling": SCALING, "scaling_before": SCALING[:1], "scaled": ["endpoint/acme--tab--async/variant/AllTraffic"],
        "hours": {"sleep": {"S": "20:00-07:00"}}, "verdict": "go",
    }  # fmt: skip
    return {
        "states": {"context": CONTEXT, "input": {"tenant": "acme", "project": "tab"}},
        "run": request.to_dict(),
        "plan": plan,
        "training": {"name": "t", "image": "i", "model": f"s3://artifacts-bucket/{request.prefix}train/t/model.tar.gz"},
        "champion": None,
        "evaluations": 1,
        "failure": "AlgorithmError: x",
        "failed_in": 0,
        "tune_on_spot": True,
        "tuning": {"job": "tab-0123456789-tune-0-0-0", "status": "Completed"},
        "dataset": {},
        "prepared_in_job": False,
        "evaluation": {"verdict": {"promote": True, "reasons": ["better"]}},
        "package": {"package_arn": "arn:package", "version": 1},
        "run_id": request.run,
        "outcome": None,
        "reasons": [],
        "deployment": deployment,
        "made": {"version": "2", "qualified": "acme--tab--lambda:2", "previous": "1", "alarms": []},
        "step": 0,
        **{
            name: name
            for name in ("tenant", "project", "package_arn", "expected_champion", "at_once", "stopped", "stopped_by")
        },
    }


def check(resource: str, arguments: dict[str, Any]) -> None:
    service, operation = OPERATIONS[resource]
    model = botocore.session.get_session().get_service_model(service).operation_model(operation)
    if service == "lambda":  # Step Functions serialises the payload
        arguments = {**arguments, "Payload": b""}
    if service in ("ecr", "codebuild"):  # Step Functions writes every service's members with a capital
        arguments = lower(arguments)
    assert model.input_shape
    report = ParamValidator().validate(arguments, model.input_shape)
    assert not report.has_errors(), report.generate_report()


def lower(value: Any) -> Any:
    if isinstance(value, dict):
        return {key[0].lower() + key[1:]: lower(item) for key, item in value.items()}
    return [lower(item) for item in value] if isinstance(value, list) else value


def resource_of(state: dict[str, Any]) -> str:
    return state["Resource"].removeprefix("arn:aws:states:::")


def test_every_call_of_a_run_fits_the_services_model(run_states: States, variables: dict[str, Any]) -> None:
    checked = 0
    for state in run_states.values():
        if state["Type"] == "Task" and resource_of(state) != "states:startExecution.sync:2":
            check(resource_of(state), evaluate(state["Arguments"], variables))
            checked += 1
    assert checked == 28


def test_every_call_of_a_deployment_fits_the_services_model(
    deployment_states: States, variables: dict[str, Any]
) -> None:
    variables |= {"run": "r"}
    checked = 0
    for state in deployment_states.values():
        if state["Type"] == "Task":
            check(resource_of(state), evaluate(state["Arguments"], variables))
            checked += 1
    assert checked == 36
    alarms = deployment_states["Create alarms"]
    assert evaluate(alarms["Items"], variables) == [ALARM]
    (put,) = alarms["ItemProcessor"]["States"].values()
    check(resource_of(put), evaluate(put["Arguments"], {"states": {"input": ALARM}}))


def test_every_call_that_scales_fits_the_services_model(deployment_states: States, variables: dict[str, Any]) -> None:
    stop, start = deployment_states["Stop scaling"], deployment_states["Scale endpoint"]
    (resource,) = evaluate(stop["Items"], variables)
    deregister = stop["ItemProcessor"]["States"]["Stop scaling variant"]
    check(resource_of(deregister), evaluate(deregister["Arguments"], {"states": {"input": resource}}))
    tracking, first = evaluate(start["Items"], variables)
    assert [each["policy"]["PolicyType"] for each in (tracking, first)] == ["TargetTrackingScaling", "StepScaling"]
    register, put, alarms = start["ItemProcessor"]["States"].values()
    (alarm,) = alarms["ItemProcessor"]["States"].values()
    for item in (tracking, first):
        states = {"states": {"input": item, "result": {"PolicyARN": "arn:policy"}}}
        check(resource_of(register), evaluate(register["Arguments"], states))
        check(resource_of(put), evaluate(put["Arguments"], states))
        for asked in evaluate(put["Output"], states):
            assert asked["AlarmActions"] == ["arn:policy"]
            check(resource_of(alarm), asked)
    assert evaluate(put["Output"], {"states": {"input": tracking, "result": {"PolicyARN": "arn:policy"}}}) == []


def test_every_call_of_sleep_fits_the_services_model(sleep_states: States, variables: dict[str, Any]) -> None:
    variables |= {"asleep": True, "by": "hours"}
    variables["deployment"]["held_until"] = "2026-11-22T06:00:00+00:00"
    tasks = {name: state for name, state in sleep_states.items() if state["Type"] == "Task"}
    for state in tasks.values():
        check(resource_of(state), evaluate(state["Arguments"], variables))
    assert len(tasks) == 8


@pytest.mark.parametrize(("failure", "verdict", "items"), [(None, "go", 0), ("E", "go", 1), (None, "nothing_to_do", 1)])
def test_what_is_in_service_is_scaled_as_before_unless_a_new_version_is(
    deployment_states: States, variables: dict[str, Any], failure: str | None, verdict: str, items: int
) -> None:
    variables |= {"failure": failure}
    variables["deployment"]["verdict"] = verdict
    assert len(evaluate(deployment_states["Scale as before"]["Items"], variables)) == items


@pytest.mark.parametrize("name", ["Train on spot", "Train on demand", "Tune"])
def test_a_champion_is_a_channel_only_where_the_plan_begins_with_it(
    run_states: States, variables: dict[str, Any], name: str
) -> None:
    def channels() -> dict[str, str]:
        arguments = evaluate(run_states[name]["Arguments"], variables)
        check(resource_of(run_states[name]), arguments)
        given = arguments.get("TrainingJobDefinition", arguments)["InputDataConfig"]
        return {each["ChannelName"]: each["DataSource"]["S3DataSource"]["S3Uri"] for each in given}

    assert list(channels()) == ["code", "wheels", "train", "validation", "schema"]
    variables["plan"]["train"]["start"] = "s3://artifacts-bucket/acme/tab/runs/r/evaluate/model.tar.gz"
    assert channels()["champion"] == variables["plan"]["train"]["start"]


def test_spot_and_on_demand_differ_in_the_machines_and_share_the_rest(
    run_states: States, variables: dict[str, Any]
) -> None:
    spot = evaluate(run_states["Train on spot"]["Arguments"], variables)
    demand = evaluate(run_states["Train on demand"]["Arguments"], variables)
    assert spot["EnableManagedSpotTraining"] is True
    assert spot["ResourceConfig"] == {"InstanceType": "ml.g5.xlarge", "InstanceCount": 2, "VolumeSizeInGB": 40}
    assert spot["StoppingCondition"] == {"MaxRuntimeInSeconds": 3600, "MaxWaitTimeInSeconds": 5400}
    assert demand["ResourceConfig"]["InstancePreferences"] == [
        {"InstanceType": "ml.g5.xlarge", "InstanceCount": 2},
        {"InstanceType": "ml.m5.xlarge", "InstanceCount": 2},
    ]
    assert demand["StoppingCondition"] == {"MaxRuntimeInSeconds": 3600}
    different = {"TrainingJobName", "ResourceConfig", "StoppingCondition", "EnableManagedSpotTraining"}
    assert {k: v for k, v in spot.items() if k not in different} == {
        k: v for k, v in demand.items() if k not in different
    }
    prefix = f"s3://artifacts-bucket/{variables['run']['prefix']}"
    assert spot["CheckpointConfig"]["S3Uri"].rstrip("/") + "/" == prefix + keys.CHECKPOINTS


@pytest.mark.parametrize(
    ("ladder", "image"),
    [
        (["ml.m5.xlarge"], "cpu"),
        (["ml.m7g.xlarge"], "cpu"),
        (["ml.g5.xlarge"], "gpu"),
        (["ml.p4d.24xlarge"], "gpu"),
        (["ml.m5.xlarge", "ml.g4dn.xlarge"], "gpu"),
    ],
)
def test_the_image_has_cuda_when_a_type_has_a_gpu(
    run_states: States, variables: dict[str, Any], ladder: list[str], image: str
) -> None:
    variables["plan"]["train"] |= {"ladder": ladder, "instance": ladder[0]}
    arguments = evaluate(run_states["Train on demand"]["Arguments"], variables)
    assert arguments["AlgorithmSpecification"]["TrainingImage"] == f"registry/pytorch:{image}"
    variables["run"] = {**variables["run"], "recipe": {"name": "keras", "options": {}}}
    arguments = evaluate(run_states["Train on demand"]["Arguments"], variables)
    assert arguments["AlgorithmSpecification"]["TrainingImage"] == f"registry/tensorflow:{image}"


def test_hyperparameters_are_strings_and_read_back_as_the_settings(
    run_states: States, variables: dict[str, Any]
) -> None:
    from contract.config import Train
    from contract.parsing import from_strings, to_dict

    given = evaluate(run_states["Train on spot"]["Arguments"], variables)["HyperParameters"]
    assert all(isinstance(value, str) for value in given.values())
    settings = {name: value for name, value in given.items() if name not in ("recipe", "options")}
    assert to_dict(from_strings(Train, settings)) == variables["run"]["train"]
    assert given["recipe"] == "tabular"
    assert json.loads(given["options"]) == variables["run"]["recipe"]["options"]


def test_every_training_job_says_what_gpus_may_do(run_states: States, variables: dict[str, Any]) -> None:
    wanted = {names.MIN_GPU_PERCENT: "2.5", names.IDLE_GPU_MINUTES: "30"}
    variables["run"]["train"]["min_gpu_percent"] = 2.5
    for state in ("Train on spot", "Train on demand"):
        assert evaluate(run_states[state]["Arguments"], variables)["Environment"] == wanted
    for state in ("Tune", "Tune from earlier search"):
        assert evaluate(run_states[state]["Arguments"], variables)["TrainingJobDefinition"]["Environment"] == wanted
    (definition,) = evaluate(run_states["Tune recipes"]["Arguments"], variables)["TrainingJobDefinitions"]
    assert definition["Environment"] == wanted
    variables["run"]["recipe"]["name"] = "script"
    variables["run"]["script"] = {
        "environment": {"PIP_NO_INDEX": "1"},
        "hyperparameters": {},
        "metrics": [],
        "channels": [],
    }
    given = evaluate(run_states["Train on demand"]["Arguments"], variables)["Environment"]
    assert given == {**wanted, "PIP_NO_INDEX": "1"}


def test_isolation_follows_the_setting(run_states: States, variables: dict[str, Any]) -> None:
    assert evaluate(run_states["Train on spot"]["Arguments"], variables)["EnableNetworkIsolation"] is True
    variables["run"]["train"]["isolation"] = "off"
    assert evaluate(run_states["Train on spot"]["Arguments"], variables)["EnableNetworkIsolation"] is False


def test_a_jobs_name_counts_redrives_evaluations_and_retries_and_fits(
    run_states: States, variables: dict[str, Any]
) -> None:
    steps = {"Train on spot": "spot", "Train on demand": "train"}
    for state, step in steps.items():
        assert evaluate(run_states[state]["Arguments"], variables)["TrainingJobName"] == f"tab-0123456789-{step}-0-1-2"
    variables["run"]["run"] = "r" * names.RUN_LIMIT
    evaluated = evaluate(run_states["Evaluate"]["Arguments"], variables)["ProcessingJobName"]
    assert len(evaluated) <= 63


def test_the_champion_is_an_input_of_evaluate_only_when_one_serves(
    run_states: States, variables: dict[str, Any]
) -> None:
    without = evaluate(run_states["Evaluate"]["Arguments"], variables)
    inputs = [given["InputName"] for given in without["ProcessingInputs"]]
    assert inputs == ["code", "wheels", "request", "model", "dataset"]
    assert set(without["Environment"].values()) == {""}
    variables["champion"] = {"package_arn": "arn:p/3", "version": 3, "model_uri": "s3://artifacts-bucket/old.tar.gz"}
    with_one = evaluate(run_states["Evaluate"]["Arguments"], variables)
    assert with_one["ProcessingInputs"][-1]["S3Input"]["S3Uri"] == "s3://artifacts-bucket/old.tar.gz"
    assert with_one["Environment"] == {names.CHAMPION_PACKAGE: "arn:p/3", names.CHAMPION_VERSION: "3"}


def test_jobs_read_and_write_where_the_contract_says(run_states: States, variables: dict[str, Any]) -> None:
    prefix = f"s3://artifacts-bucket/{variables['run']['prefix']}"
    prepare = evaluate(run_states["Prepare large dataset"]["Arguments"], variables)
    uris = {given["InputName"]: given["S3Input"]["S3Uri"] for given in prepare["ProcessingInputs"]}
    assert uris["request"] == prefix + keys.REQUEST
    assert uris["upload"] == prefix + keys.UPLOAD
    assert uris["salt"] == "s3://data-bucket/" + keys.salt("acme")
    assert prepare["ProcessingOutputConfig"]["Outputs"][0]["S3Output"]["S3Uri"] == prefix
    evaluated = evaluate(run_states["Evaluate"]["Arguments"], variables)
    uri = evaluated["ProcessingOutputConfig"]["Outputs"][0]["S3Output"]["S3Uri"]
    assert f"{uri.rstrip('/')}/" == prefix + keys.EVALUATE


@pytest.mark.parametrize(
    ("cause", "missing"),
    [
        ("CapacityError: Unable to provision requested ML compute capacity.", True),
        ("InsufficientInstanceCapacity", True),
        ('{"TrainingJobStatus":"Stopped","SecondaryStatus":"MaxWaitTimeExceeded"}', True),
        ("The account-level service limit was exceeded (Error Code: ResourceLimitExceeded)", True),
        ("AlgorithmError: ValueError: the loss is not a number", False),
    ],
)
def test_only_missing_capacity_leads_to_other_machines(run_states: States, cause: str, missing: bool) -> None:
    (rule,) = run_states["Is capacity missing?"]["Choices"]
    assert evaluate(rule["Condition"], {"failure": cause}) is missing


def test_a_failed_jobs_own_reason_is_the_cause_not_its_whole_description(run_states: States) -> None:
    (catch,) = run_states["Train on spot"]["Catch"]

    def failure(cause: str) -> str:
        return evaluate(catch["Assign"]["failure"], {"states": {"errorOutput": {"Cause": cause}}})

    assert failure('{"TrainingJobName": "t", "FailureReason": "AlgorithmError: \\"quoted\\""}') == (
        'AlgorithmError: "quoted"'
    )
    assert failure("Rate exceeded (Service: SageMaker)") == "Rate exceeded (Service: SageMaker)"


@pytest.mark.parametrize(
    ("status", "secondary", "then"),
    [
        ("Completed", "Completed", "Check artefact"),
        ("Stopped", "MaxWaitTimeExceeded", "Train on demand"),
        ("Stopped", "Interrupted", "Train on demand"),
        ("Stopped", "MaxRuntimeExceeded", "Stop training"),
        ("Stopped", "Stopped", "Stop training"),
    ],
)
def test_a_spot_job_that_ended_is_judged_by_both_its_statuses(
    run_states: States, status: str, secondary: str, then: str
) -> None:
    training = {"status": status, "secondary_status": secondary}
    assert decide(run_states["Did spot training finish?"], {"training": training}) == then


@pytest.mark.parametrize(
    ("status", "config", "then"),
    [
        ("InService", "new", "Scale endpoint"),
        ("InService", "old", "Is there a version to restore?"),
        ("Updating", "old", "Wait for endpoint"),
        ("Creating", "new", "Wait for endpoint"),
        ("Failed", "new", "Is there a version to restore?"),
        ("UpdateRollbackFailed", "old", "Is there a version to restore?"),
    ],
)
def test_an_endpoint_serves_only_with_the_new_configuration(
    deployment_states: States, status: str, config: str, then: str
) -> None:
    seen = {"endpoint": {"status": status, "configuration": config}, "deployment": {"config_name": "new"}}
    assert decide(deployment_states["Is endpoint in service?"], seen) == then


@pytest.mark.parametrize(
    ("previous", "status", "config", "then"),
    [
        (None, "Failed", "new", "Tidy up"),
        ("old", "InService", "old", "Tidy up"),
        ("old", "InService", "new", "Restore endpoint"),
        ("old", "UpdateRollbackFailed", "old", "Restore endpoint"),
    ],
)
def test_a_failed_update_leaves_the_champion_in_service(
    deployment_states: States, previous: str | None, status: str, config: str, then: str
) -> None:
    seen = {
        "endpoint": {"name": "live", "status": status, "configuration": config},
        "deployment": {"previous_config": previous, "endpoint": "live"},
    }
    assert decide(deployment_states["Is there a version to restore?"], seen) == then


@pytest.mark.parametrize(
    ("failure", "status", "then"),
    [
        (None, "DEPLOYED", "Deployed"),
        (None, "CHAMPION_CHANGED", "Champion changed"),
        ({"error": "E", "cause": "c"}, "DEPLOYED", "Deployment failed"),
    ],
)
def test_a_deployment_ends_as_it_went(
    deployment_states: States, failure: dict[str, str] | None, status: str, then: str
) -> None:
    assert decide(deployment_states["How did it end?"], {"failure": failure, "status": status}) == then


@pytest.mark.parametrize(
    ("status", "evaluations", "then"),
    [
        ("DEPLOYED", 1, "Settle run"),
        ("CHALLENGING", 1, "Settle run"),
        ("CHAMPION_CHANGED", 2, "Find champion"),
        ("CHAMPION_CHANGED", 3, "Champion keeps changing"),
    ],
)
def test_a_changed_champion_is_compared_again_a_few_times(
    run_states: States, status: str, evaluations: int, then: str
) -> None:
    seen = {"states": {"input": {"status": status}}, "evaluations": evaluations}
    assert decide(run_states["Is model deployed?"], seen) == then


def test_a_run_whose_version_is_a_challenger_says_so_among_its_reasons(run_states: States) -> None:
    rules = {
        rule["Condition"]: rule["Assign"] for rule in run_states["Is model deployed?"]["Choices"] if "Assign" in rule
    }
    (beside,) = [assign for condition, assign in rules.items() if "CHALLENGING" in condition]
    better, told = evaluate(beside["reasons"], {"reasons": ["accuracy 0.9 is better than 0.8"]})
    assert "better" in better
    assert "tandem promote" in told
    assert evaluate(beside["outcome"], {}) == "DEPLOYED"


def decide(choice: dict[str, Any], variables: dict[str, Any]) -> str:
    for rule in choice["Choices"]:
        if evaluate(rule["Condition"], variables):
            return rule["Next"]
    return choice["Default"]
