"""What the deployed application costs a month while nobody uses it, from the synthesised templates.

python -m infra.idle_cost     synthesises, prints it line by line, and writes the README's sentence

A type that is on neither list is an error, so that nothing that bills by the hour comes in unnoticed. What is stored
is not counted (a gigabyte of S3 is 2.3 cents a month), nor what people deploy with it: endpoints.
"""

from __future__ import annotations

import json
import re
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from contract.prices import load_prices

README = Path(__file__).parents[1] / "README.md"
SENTENCE = re.compile(r"(<!-- idle -->).*?(<!-- /idle -->)", re.DOTALL)
Template = Mapping[str, Any]

MONTHLY = {
    "AWS::KMS::Key": 1.00,  # of its first year; a dollar more after each of the first two yearly rotations
    "AWS::CloudWatch::Alarm": 0.10,  # for each metric that it looks at
}
"""US dollars a month of one, however little it is used; us-east-1, AWS's pricing pages of November 2026."""

ENDPOINT = 0.01 * 730
"""Of an interface endpoint, a month and zone."""

BY_USE = frozenset(
    {
        "AWS::ApiGateway::Deployment", "AWS::ApiGateway::GatewayResponse", "AWS::ApiGateway::Method",
        "AWS::ApiGateway::Resource", "AWS::ApiGateway::RestApi", "AWS::ApiGateway::Stage",
        "AWS::Budgets::Budget",  # those that only tell
        "AWS::CDK::Metadata", "AWS::CloudTrail::Trail", "AWS::CodeBuild::Project", "AWS::DynamoDB::Table",
        "AWS::EC2::FlowLog", "AWS::EC2::RouteTable", "AWS::EC2::SecurityGroup",
        "AWS::EC2::SecurityGroupEgress", "AWS::EC2::SecurityGroupIngress", "AWS::EC2::Subnet",
        "AWS::EC2::SubnetRouteTableAssociation", "AWS::EC2::VPC", "AWS::EC2::VPCEndpoint",  # of gateways
        "AWS::ECR::Repository", "AWS::Events::Rule", "AWS::IAM::ManagedPolicy", "AWS::IAM::Policy", "AWS::IAM::Role",
        "AWS::KMS::Alias", "AWS::Lambda::Function", "AWS::Lambda::LayerVersion", "AWS::Lambda::Permission",
        "AWS::Logs::LogGroup", "AWS::Logs::ResourcePolicy", "AWS::S3::Bucket", "AWS::S3::BucketPolicy",
        "AWS::SNS::Topic", "AWS::SNS::TopicPolicy",
        "AWS::SQS::Queue", "AWS::SQS::QueuePolicy", "AWS::StepFunctions::StateMachine",
        "AWS::StepFunctions::StateMachineAlias", "AWS::StepFunctions::StateMachineVersion",
    }
)  # fmt: skip
"""Types that cost nothing while they are not used, but for what they store."""

RUNS_A_MONTH = re.compile(r"rate\((\d+) (minute|hour|day)s?\)")
MINUTES = {"minute": 1, "hour": 60, "day": 1440}
LOOK_SECONDS = 2
"""What a look by a scheduled function is taken to last: a cold start, and a query. The rate is x86's: arm64 is less."""


def lines(templates: Sequence[Template]) -> dict[str, float]:
    """Return what costs how much a month, in US dollars.

    Raises:
        ValueError: for resource types whose price is not known here.
    """
    resources = [each for template in templates for each in template["Resources"].values()]
    counts = Counter(str(each["Type"]) for each in resources)
    if unknown := counts.keys() - MONTHLY.keys() - BY_USE:
        raise ValueError(f"nobody knows what {sorted(unknown)} cost idle: add them to MONTHLY or BY_USE")
    found = {f"{counts[kind]} {kind}": counts[kind] * usd for kind, usd in MONTHLY.items() if counts[kind]}
    for template in templates:
        found.update(_looks(template["Resources"]))
        found.update(_endpoints(template["Resources"]))
    return found


def _endpoints(resources: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    """Yield the interface endpoints of a network, which bill in each zone; gateways cost nothing."""
    zones = [
        len(each["Properties"]["SubnetIds"])
        for each in resources.values()
        if each["Type"] == "AWS::EC2::VPCEndpoint" and each["Properties"]["VpcEndpointType"] == "Interface"
    ]
    if zones:
        yield f"{len(zones)} interface endpoints, {sum(zones)} with their zones", sum(zones) * ENDPOINT


def _looks(resources: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    for rule in resources.values():
        if rule["Type"] == "AWS::Events::Rule" and (schedule := rule["Properties"].get("ScheduleExpression")):
            runs = _runs_a_month(schedule)
            for target in rule["Properties"]["Targets"]:
                name = target["Arn"]["Fn::GetAtt"][0]
                yield f"{runs:,} runs of {name}", runs * _look(resources[name])


def _look(function: Mapping[str, Any]) -> float:
    prices, gigabytes = load_prices(), function["Properties"]["MemorySize"] / 1024
    return LOOK_SECONDS * gigabytes * prices.lambda_gb_second + prices.fees["lambda_request"]


def _runs_a_month(schedule: str) -> int:
    rate = RUNS_A_MONTH.fullmatch(schedule)
    if not rate:
        raise ValueError(f"nobody knows how often {schedule!r} runs: only rates are counted")
    return 730 * 60 // (int(rate[1]) * MINUTES[rate[2]])


def sentence(templates: Sequence[Template]) -> str:
    """Return what the README says."""
    usd, tenant = sum(lines(templates).values()), MONTHLY["AWS::KMS::Key"]  # all that a tenant's stack costs
    return f"Idle, an installation costs ${usd:.2f} a month and ${tenant:.2f} for each tenant, besides what is stored."


def written(text: str, templates: Sequence[Template]) -> str:
    """Return the README with the sentence in its place."""
    return SENTENCE.sub(rf"\g<1>{sentence(templates)}\g<2>", text)


def read(folder: Path) -> list[Template]:
    """Return the templates of a cloud assembly."""
    return [json.loads(path.read_text()) for path in sorted(folder.glob("*.template.json"))]


def main() -> None:
    """Synthesise, and write the sentence."""
    from infra.app import NO_WHEELS, build

    with tempfile.TemporaryDirectory() as folder:
        build(outdir=folder, context=NO_WHEELS).synth()
        templates = read(Path(folder))
    for name, usd in lines(templates).items():
        print(f"${usd:7.2f}  {name}")
    README.write_text(written(README.read_text(), templates))


if __name__ == "__main__":
    main()
