"""Register, plan the deployment, check golden samples."""

from __future__ import annotations

import base64
import dataclasses
import io
import json
import re
from typing import Any

import pytest

from contract import keys, ledger, names, packages
from contract.config import Deploy
from contract.errors import EndpointBusy, GoldenSamplesDiffer, InvalidConfig
from contract.gate import Verdict
from contract.golden import Golden, GoldenSample
from functions import deployment, golden, live, model_card, register, rollout, shared, table
from tests.functions import examples
from tests.functions.conftest import Killed, World

HOSTILE = 'acme/digits/inbox/a b+c%20 "q" 📈.zip'


def register_model(
    world: World, run: str = "digits-1f3a9c2b7d", sha: str = "ab" * 32, **sections: Any
) -> dict[str, Any]:
    request = examples.request(world.tenant, run, **sections)
    evaluation = examples.evaluation(run).to_dict() | {"model_sha256": sha}
    given = {"run": request.to_dict(), "evaluation": evaluation, **examples.CODE}
    return register.handler(json.loads(json.dumps(given)), None)


def describe(world: World, arn: str) -> dict[str, Any]:
    return world.client("sagemaker").describe_model_package(ModelPackageName=arn)


@pytest.mark.parametrize(("named", "tag"), [({}, "0123abcd"), ({"image_tag": "of-before"}, "of-before")])
def test_a_version_is_served_by_the_image_that_its_execution_looked_for(
    world: World, named: dict[str, str], tag: str
) -> None:
    run = f"digits-{tag}"
    given = {"run": examples.request(world.tenant, run).to_dict(), "evaluation": examples.evaluation(run).to_dict()}
    answer = register.handler(json.loads(json.dumps({**given, **examples.CODE, **named})), None)
    (container,) = describe(world, answer["package_arn"])["InferenceSpecification"]["Containers"]
    assert container["Image"].endswith(f":{tag}")


def test_a_model_is_registered_with_its_lineage(world: World) -> None:
    answer = register_model(world)
    assert answer["version"] == 1
    package = describe(world, answer["package_arn"])
    assert package["ModelApprovalStatus"] == "Approved"
    (container,) = package["InferenceSpecification"]["Containers"]
    assert container["Image"].endswith("tandem-serving:0123abcd")
    prefix = examples.request(world.tenant).prefix
    assert container["ModelDataUrl"] == f"s3://{world.artifacts}/{prefix}{keys.MODEL}"
    properties = package["CustomerMetadataProperties"]
    assert properties["upload_version"] == "v1"
    assert properties["golden"] == f"s3://{world.artifacts}/{prefix}{keys.GOLDEN}"
    assert packages.deploy_settings(properties) == examples.request(world.tenant).deploy


def test_a_version_whose_every_setting_is_its_own_fits_into_sagemakers_fifty_properties() -> None:
    default = packages.to_dict(Deploy())
    other: dict[str, Any] = {name: f"{old}x" if isinstance(old, str) else old + 1 for name, old in default.items()}
    request = dataclasses.replace(examples.request(), deploy=Deploy(**other))
    evaluation = dataclasses.replace(examples.evaluation(), metrics={f"metric_{n}": 0.5 for n in range(20)})
    origin = dict.fromkeys(("training_job", "training_image", "code_uri", "model"), "x")
    properties = packages.metadata(request, evaluation, origin, "artifacts")
    assert len(packages.deploy_properties(request.deploy)) == len(default)
    assert len(properties) <= 50


def test_registering_again_finds_the_same_package(world: World, kill_at: Any) -> None:
    kill_at("sagemaker", "CreateModelPackage", after=True)
    with pytest.raises(Killed):
        register_model(world)
    first = register_model(world)
    assert first["version"] == 1
    assert register_model(world) == first
    assert register_model(world, run="digits-other")["version"] == 2
    assert register_model(world, sha="cd" * 32)["version"] == 3


def test_properties_hold_only_what_sagemaker_allows() -> None:
    assert packages.encode("a 50%.csv") == "a 50=25.csv"
    assert packages.encode("a=b") == "a=3Db"
    long = packages.encode("📈" * 200)
    assert len(long) <= packages.LIMIT
    assert re.fullmatch("(=[0-9A-F]{2})+", long), "no escape is cut in two"


def test_a_hostile_upload_key_can_be_registered(world: World) -> None:
    request = examples.request(world.tenant).to_dict()
    request["upload"]["key"] = HOSTILE
    given = {"run": request, "evaluation": examples.evaluation().to_dict(), **examples.CODE}
    properties = describe(world, register.handler(given, None)["package_arn"])["CustomerMetadataProperties"]
    for value in properties.values():
        assert len(value) <= 256
        assert value.isascii()
        assert not set(value) & set('%"<>')


def plan(world: World, arn: str, **given: Any) -> dict[str, Any]:
    event = {"tenant": world.tenant, "project": "digits", "run": "digits-1f3a9c2b7d", "package_arn": arn, **given}
    return deployment.handler(event, None)


def test_a_deployment_is_planned_from_the_package_alone(world: World) -> None:
    arn = register_model(world, deploy={"memory_mb": 3072})["package_arn"]
    first, second = (plan(world, arn, expected_champion="") for _ in range(2))
    assert first["verdict"] == "go"
    assert first["champion"] == ""
    assert first["previous_config"] is None
    assert first["endpoint"] == f"{world.tenant}--digits--serverless"
    (variant,) = first["configuration"]["ProductionVariants"]
    assert variant["ServerlessConfig"] == {"MemorySizeInMB": 3072, "MaxConcurrency": 5}
    assert variant["ModelName"] == first["model_name"]
    assert first["staging_variant"]["ServerlessConfig"]["MaxConcurrency"] == 1
    assert (first["update"], first["alarms"], first["shadow"]) == ({}, [], None)
    assert first["golden_uri"].endswith(keys.GOLDEN)
    assert first["model_name"] != second["model_name"], "a failed deployment's names are not free"


def test_names_fit_sagemaker_at_their_longest(world: World) -> None:
    longest = "a" * names.NAME_LIMIT
    unique = f"{longest}--{longest}--v99999-01234567-s"
    assert len(unique) <= 63
    endpoint = names.endpoint(longest, longest, "realtime")
    assert len(names.alarm(endpoint, rollout.CHALLENGER, "latency")) <= 255
    assert len(names.staging_endpoint(longest, longest)) <= 63


def test_realtime_keeps_instances(world: World) -> None:
    arn = register_model(world, deploy={"target": "realtime", "instance": "ml.m5.large", "instances": 2})["package_arn"]
    answer = plan(world, arn, expected_champion=None)
    assert answer["endpoint"].endswith("--realtime")
    (variant,) = answer["configuration"]["ProductionVariants"]
    assert (variant["InstanceType"], variant["InitialInstanceCount"]) == ("ml.m5.large", 2)
    assert answer["staging_variant"]["InitialInstanceCount"] == 1
    assert answer["update"] == {}, "the first version has nothing to take traffic from"


@pytest.mark.parametrize(("ab_percent", "variants"), [(0, ["AllTraffic"]), (20, ["AllTraffic", "Challenger"])])
def test_a_champion_that_sleeps_is_woken_by_a_deployment_and_for_an_ab_test(
    world: World, monkeypatch: pytest.MonkeyPatch, ab_percent: int, variants: list[str]
) -> None:
    deploy = {"target": "realtime", "ab_percent": ab_percent, "sleep": "20:00-07:00", "max_instances": 2}
    champion = register_model(world, deploy={"target": "realtime"})["package_arn"]
    arn = register_model(world, run="digits-other", deploy={**deploy, "invocations_per_instance": 60})["package_arn"]
    fake = Endpoints(shared.client("sagemaker"))
    monkeypatch.setattr(live, "client", lambda service: fake)
    row = {"package_arn": champion, "run": "x", "version": 1, "target": "realtime", "configuration": "config-1"}
    row |= {"endpoint": names.endpoint(world.tenant, "digits", "realtime"), "asleep": "2026-11-21T20:00:00Z"}
    table.put(ledger.champion_key(world.tenant, "digits"), row)
    planned = plan(world, arn)
    assert planned["previous_config"] is None, "so that the endpoint is created"
    assert [each["VariantName"] for each in planned["configuration"]["ProductionVariants"]] == variants
    assert planned["ab_percent"] == ab_percent
    assert [each["target"]["ResourceId"].split("/")[-1] for each in planned["scaling"]] == variants[-1:]
    assert planned["scaling_before"] == [], "asleep, nothing is scaled"
    assert planned["hours"]["sleep"] == {"S": "20:00-07:00"}
    assert planned["hours"]["held_until"]["S"] > "2026"
    assert deployment.is_as_recorded(row), "there is nothing to put back"


@pytest.mark.parametrize(
    ("expected", "changed"), [("", True), ("arn:other", True), ("arn:champion", False), (None, False)]
)
def test_a_champion_that_changed_meanwhile_is_noticed(world: World, expected: str | None, changed: bool) -> None:
    arn = register_model(world)["package_arn"]
    table.put(ledger.champion_key(world.tenant, "digits"), {"package_arn": "arn:champion", "run": "x", "version": 1})
    answer = plan(world, arn, expected_champion=expected)
    assert answer["verdict"] == ("champion_changed" if changed else "go")
    assert answer["champion"] == "arn:champion"


def test_a_deployment_that_is_tried_again_after_it_made_its_version_champion_goes_on(world: World) -> None:
    arn = register_model(world)["package_arn"]
    table.put(ledger.champion_key(world.tenant, "digits"), {"package_arn": arn, "run": "x", "version": 1})
    assert plan(world, arn, expected_champion="arn:before")["verdict"] == "go"


def test_another_projects_package_is_refused(world: World) -> None:
    arn = register_model(world)["package_arn"]
    with pytest.raises(InvalidConfig, match="package_arn"):
        deployment.handler(
            {"tenant": "rival", "project": "digits", "run": "x", "package_arn": arn, "expected_champion": None}, None
        )
    with pytest.raises(InvalidConfig, match="package_arn"):
        plan(world, arn[:-1] + "9")


class Endpoints:
    """SageMaker with endpoints in given states."""

    def __init__(self, real: Any, **statuses: str) -> None:
        self.real, self.statuses = real, statuses
        self.deleted: list[str] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self.real, name)

    def describe_endpoint(self, EndpointName: str) -> dict[str, str]:
        kind = EndpointName.rpartition("--")[2]
        if kind not in self.statuses:
            return self.real.describe_endpoint(EndpointName=EndpointName)
        return {"EndpointStatus": self.statuses[kind], "EndpointConfigName": "config-1"}

    def describe_endpoint_config(self, EndpointConfigName: str) -> dict[str, Any]:
        return {"ProductionVariants": [{"VariantName": rollout.VARIANT, "ModelName": "m"}]}

    def delete_endpoint(self, EndpointName: str) -> None:
        self.deleted.append(EndpointName.rpartition("--")[2])


@pytest.mark.parametrize(
    ("statuses", "deleted", "previous"),
    [
        ({"serverless": "InService"}, [], "config-1"),
        ({"serverless": "Updating"}, [], EndpointBusy),
        ({"serverless": "Failed"}, ["serverless"], EndpointBusy),
        ({"staging": "InService"}, ["staging"], EndpointBusy),
        ({"staging": "Failed"}, ["staging"], EndpointBusy),
        ({"staging": "Deleting"}, [], EndpointBusy),
        ({"staging": "Creating"}, [], EndpointBusy),
    ],
)
def test_what_a_dead_deployment_left_is_cleared_away(
    world: World, monkeypatch: pytest.MonkeyPatch, statuses: dict[str, str], deleted: list[str], previous: Any
) -> None:
    arn = register_model(world)["package_arn"]
    fake = Endpoints(shared.client("sagemaker"), **statuses)
    monkeypatch.setattr(live, "client", lambda service: fake)
    if previous is EndpointBusy:
        with pytest.raises(EndpointBusy):
            plan(world, arn)
    else:
        assert plan(world, arn)["previous_config"] == previous
    assert fake.deleted == deleted


def golden_uri(world: World, *samples: GoldenSample, tolerance: float = 1e-3) -> str:
    document = Golden(run="r", tolerance=tolerance, samples=samples).to_dict()
    world.put("golden.json", json.dumps(document).encode(), world.artifacts)
    return f"s3://{world.artifacts}/golden.json"


SAMPLE = GoldenSample(name="row 17", content_type="text/csv", body="1,ü\n", outputs={"high": 0.75, "low": 0.25})
IMAGE = GoldenSample(
    name="row 3",
    content_type="image/png",
    body=base64.b64encode(b"\x89PNG").decode(),
    base64=True,
    outputs={"high": 0.75, "low": 0.25},
)


class Runtime:
    """An endpoint that answers with fixed probabilities."""

    def __init__(self, probabilities: dict[str, float]) -> None:
        self.probabilities = probabilities
        self.asked: list[dict[str, Any]] = []

    def invoke_endpoint(self, **request: Any) -> dict[str, Any]:
        self.asked.append(request)
        best = max(self.probabilities, key=lambda label: self.probabilities[label])
        document = {"predictions": [{"label": best, "probabilities": self.probabilities}]}
        return {"Body": io.BytesIO(json.dumps(document).encode())}


def test_an_endpoint_that_answers_as_evaluated_passes(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    runtime = Runtime({"low": 0.2505, "high": 0.7495})
    monkeypatch.setattr(golden, "client", lambda service: runtime)
    answer = golden.handler({"endpoint": "e", "golden_uri": golden_uri(world, SAMPLE, IMAGE)}, None)
    assert answer == {"samples": 2, "largest_difference": pytest.approx(0.0005)}
    assert [request["Body"] for request in runtime.asked] == ["1,ü\n".encode(), b"\x89PNG"]


@pytest.mark.parametrize(
    ("got", "says"),
    [
        ({"high": 0.74, "low": 0.26}, ["row 17", "expected 0.75 of 'high', got 0.74"]),
        ({"high": float("nan"), "low": 0.25}, ["nan"]),
        ({"high": 1.0}, ["row 17", "['high', 'low']", "['high']"]),
    ],
)
def test_an_endpoint_that_differs_is_told_with_expected_and_got(
    world: World, monkeypatch: pytest.MonkeyPatch, got: dict[str, float], says: list[str]
) -> None:
    monkeypatch.setattr(golden, "client", lambda service: Runtime(got))
    with pytest.raises(GoldenSamplesDiffer) as raised:
        golden.handler({"endpoint": "e", "golden_uri": golden_uri(world, SAMPLE)}, None)
    for phrase in says:
        assert phrase in str(raised.value)


def test_no_golden_samples_are_no_proof(world: World) -> None:
    with pytest.raises(GoldenSamplesDiffer, match="no golden samples"):
        golden.handler({"endpoint": "e", "golden_uri": golden_uri(world)}, None)
    with pytest.raises(GoldenSamplesDiffer, match="no golden samples"):
        golden.handler({"endpoint": "e", "golden_uri": f"s3://{world.artifacts}/gone.json"}, None)


def test_a_model_cards_texts_keep_to_the_schemas_lengths() -> None:
    evaluation = dataclasses.replace(
        examples.evaluation(),
        labels=tuple(f"{'long ' * 100}{i}" for i in range(20)),
        verdict=Verdict(promote=True, reasons=("because " * 200,)),
    )
    card = model_card.content(examples.request(), evaluation, examples.CODE, "s3://artifacts/model.tar.gz")
    assert card["model_overview"]["model_artifact"] == ["s3://artifacts/model.tar.gz"]
    assert len(card["intended_uses"]["purpose_of_model"]) <= 2048
    assert len(card["additional_information"]["custom_details"]["Released because"]) <= 1024
    for parameter in card["training_details"]["training_job_details"]["user_provided_hyper_parameters"]:
        assert 1 <= len(parameter["value"]) <= 255
    assert "\n" not in json.dumps(card)
