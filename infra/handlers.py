"""The pipeline's functions, each with what it may do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from aws_cdk import ArnFormat, Size, Stack
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_ecr as ecr
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from contract import keys, names, quotas
from infra import grants, roles
from infra.handler import ROOT, Handler, powertools, source
from infra.settings import Settings
from infra.wheels import FOLDER, LAYER_PINS, Layer

PLAN_PINS = ROOT / "functions" / "wheels" / "plan.txt"


@dataclass(frozen=True, kw_only=True)
class Places:
    """Where the functions read and write."""

    data: s3.IBucket
    artifacts: s3.IBucket
    ledger: dynamodb.ITable
    images: ecr.IRepository
    image_tag: str
    api_url: str = ""  # of the public API; empty where there is none

    @property
    def environment(self) -> dict[str, str]:
        """The variables that most functions need."""
        return {
            names.DATA_BUCKET: self.data.bucket_name,
            names.ARTIFACTS_BUCKET: self.artifacts.bucket_name,
            names.LEDGER_TABLE: self.ledger.table_name,
        }


class Handlers(Construct):
    """Intake, what the pipeline's states call, and decide."""

    def __init__(
        self, scope: Construct, id: str, *, places: Places, dead_letters: sqs.IQueue, settings: Settings
    ) -> None:
        super().__init__(scope, id)
        self._places, self._settings, self._dead_letters = places, settings, dead_letters
        self._code = source("functions", "contract")
        self._machine = grants.machine_arn(self, names.MACHINE_PIPELINE)
        self._deployment = grants.machine_arn(self, names.MACHINE_DEPLOYMENT)
        self.intake = self._intake()
        self.accept = self._accept()
        self.prepare = self._prepare()
        self._pricing = [powertools(self), Layer(self, "PlanLayer", pins=PLAN_PINS)]
        self.plan = self._plan()
        self.best = self._best()
        self.halt = self._handler("Halt")
        grants.rows(self.halt, places.ledger, "GetItem")  # why a job was stopped
        self.judge = self._judge()
        self.register = self._register()
        self.ask = self._ask()
        self.decide = self._decide()
        self.settle = self._settle()
        self.resume = self._resume()

    def _handler(self, id: str, *, environment: dict[str, str] | None = None, **options: Any) -> lambda_.Function:
        return Handler(
            self,
            id,
            entry=f"functions.{id.lower()}.handler",
            code=self._code,
            environment={**self._places.environment, **(environment or {})},
            settings=self._settings,
            **options,
        )

    def _intake(self) -> lambda_.Function:
        """One execution for each object version; refusals are announced, as no execution will."""
        intake = self._handler(
            "Intake", environment={names.PIPELINE_ARN: self._machine}, dead_letter_queue=self._dead_letters
        )
        grants.encrypt(intake, self._dead_letters.encryption_master_key)
        grants.rows(intake, self._places.ledger, *ROW)
        grants.allow(intake, ["states:StartExecution"], [self._machine])
        grants.allow(intake, ["states:DescribeExecution"], [grants.execution_arn(self, names.MACHINE_PIPELINE)])
        grants.announce(intake, self)
        return intake

    def _accept(self) -> lambda_.Function:
        """Reads the upload and project.toml, and copies the upload's pinned versions below the run."""
        accept = self._handler("Accept", seconds=120, memory_mb=1024)
        grants.rows(accept, self._places.ledger, *ROW)
        # Of the artifacts, the rows that an earlier run has kept.
        for bucket, pattern in ((self._places.data, "*"), (self._places.artifacts, "*/runs/*")):
            grants.read(accept, bucket, pattern)
            grants.read_versions(accept, bucket, pattern)
        grants.write(accept, self._places.data, keys.salt("*"))
        roles.open_outputs(accept, self)
        grants.write(accept, self._places.artifacts, "*/runs/*", in_parts=True)
        grants.delete(accept, self._places.artifacts, f"*/runs/*/{keys.UPLOAD}*")  # copies of an earlier attempt
        return accept

    def _prepare(self) -> lambda_.Function:
        """The same program as the processing job; not Powertools but its own layer."""
        prepare = Handler(
            self,
            "Prepare",
            entry="training.prepare.handler",
            code=source("training", "contract"),
            environment=self._places.environment,
            settings=self._settings,
            seconds=900,
            memory_mb=3008,  # the most that a new account may have
            layers=[Layer(self, "Layer", pins=FOLDER / LAYER_PINS)],
            ephemeral_storage_size=Size.gibibytes(4),
        )
        grants.read(prepare, self._places.data, keys.salt("*"))
        grants.read(prepare, self._places.artifacts, "*/runs/*")
        grants.write(prepare, self._places.artifacts, "*/runs/*", in_parts=True)
        return prepare

    def _plan(self) -> lambda_.Function:
        """Reads the definition that the execution runs, and of what it starts, and what they may cost."""
        told = {names.PIPELINE_ARN: self._machine, names.MONTHLY_USD: str(self._settings.monthly_usd)}
        plan = self._handler("Plan", environment=told, layers=self._pricing, seconds=quotas.LONGEST_SECONDS)
        grants.rows(plan, self._places.ledger, *ROW)
        grants.allow(plan, ["states:DescribeStateMachine"], [self._machine, self._deployment])
        _see_quotas(plan)
        execution = grants.execution_arn(self, names.MACHINE_PIPELINE)
        grants.allow(plan, ["states:DescribeStateMachineForExecution"], [execution])
        grants.write(plan, self._places.artifacts, f"*/runs/*/{keys.PLAN}")
        return plan

    def _best(self) -> lambda_.Function:
        """Reads a search, and notes its winner."""
        best = self._handler("Best", seconds=300, memory_mb=512)
        grants.rows(best, self._places.ledger, *ROW)
        self._see_searches(best)
        jobs = grants.arn(self, "sagemaker", "training-job", "*")
        grants.allow(best, ["sagemaker:DescribeTrainingJob"], [jobs])
        return best

    def _see_searches(self, function: lambda_.Function) -> None:
        searches = grants.arn(self, "sagemaker", "hyper-parameter-tuning-job", "*")
        actions = ["DescribeHyperParameterTuningJob", "ListTrainingJobsForHyperParameterTuningJob"]
        grants.allow(function, [f"sagemaker:{action}" for action in actions], [searches])

    def _judge(self) -> lambda_.Function:
        """Reads a script's final metric and those of the versions before, and hashes the model."""
        judge = self._handler("Judge", seconds=900)
        group = grants.arn(self, "sagemaker", "model-package-group", "*--*")
        package = grants.arn(self, "sagemaker", "model-package", "*--*/*")
        grants.allow(judge, ["sagemaker:DescribeTrainingJob"], [grants.arn(self, "sagemaker", "training-job", "*")])
        grants.allow(judge, ["sagemaker:ListModelPackages"], [group, package])  # IAM's reference names packages
        grants.allow(judge, ["sagemaker:DescribeModelPackage"], [package])
        grants.read(judge, self._places.artifacts, "*/runs/*", encrypted_by_us=False)
        roles.open_outputs(judge, self)
        grants.write(judge, self._places.artifacts, f"*/runs/*/{keys.EVALUATION_REPORT}")
        return judge

    def _register(self) -> lambda_.Function:
        image = {
            names.SERVING_IMAGE_REPOSITORY: self._places.images.repository_uri,
            names.SERVING_IMAGE_TAG: self._places.image_tag,
        }
        register = self._handler("Register", environment=image, seconds=120)
        group = grants.arn(self, "sagemaker", "model-package-group", "*--*")
        package = grants.arn(self, "sagemaker", "model-package", "*--*/*")
        grants.allow(register, ["sagemaker:CreateModelPackageGroup", "sagemaker:AddTags"], [group])
        grants.allow(register, ["sagemaker:CreateModelPackage"], [group, package])
        grants.allow(register, ["sagemaker:DescribeModelPackage"], [package])
        grants.allow(register, ["sagemaker:ListModelPackages"], [group, package])  # IAM's reference names packages
        # CreateModelPackage checks that its caller may read the archive and see the image.
        grants.read(register, self._places.artifacts, "*/runs/*")
        grants.write(register, self._places.artifacts, f"*/runs/*/{keys.PACKAGE}")
        roles.open_outputs(register, self)
        grants.allow(register, ["ecr:BatchGetImage", "ecr:DescribeImages"], [self._places.images.repository_arn])
        grants.rows(register, self._places.ledger, "UpdateItem")
        return register

    def _ask(self) -> lambda_.Function:
        """Asks people whether a version may be deployed."""
        url = self._places.api_url
        ask = self._handler("Ask", environment={names.API_URL: url} if url else None)
        grants.rows(ask, self._places.ledger, "PutItem")
        self._release(ask)
        grants.announce(ask, self)
        return ask

    def _decide(self) -> lambda_.Function:
        """Wakes the run that waits for a version, when the registry tells of it."""
        decide = self._handler("Decide", dead_letter_queue=self._dead_letters)
        grants.encrypt(decide, self._dead_letters.encryption_master_key)
        grants.rows(decide, self._places.ledger, "GetItem")
        self._release(decide)
        return decide

    def _release(self, function: lambda_.Function) -> None:
        package = grants.arn(self, "sagemaker", "model-package", "*--*/*")
        grants.allow(function, ["sagemaker:DescribeModelPackage"], [package])
        grants.allow(function, ["states:SendTaskSuccess"], [self._machine])

    def _settle(self) -> lambda_.Function:
        """Reads how the run went, writes the ledger, run.json and the report, and tells the bus."""
        settle = self._handler(
            "Settle",
            seconds=420,
            memory_mb=1024,
            environment={names.PIPELINE_ARN: self._machine},
            dead_letter_queue=self._dead_letters,
        )
        grants.encrypt(settle, self._dead_letters.encryption_master_key)
        grants.rows(settle, self._places.ledger, *ROW)
        for grant in (grants.read, grants.write):
            grant(settle, self._places.artifacts, "*/runs/*")
        roles.open_outputs(settle, self)
        execution = grants.execution_arn(self, names.MACHINE_PIPELINE)
        grants.allow(settle, ["states:DescribeExecution", "states:GetExecutionHistory"], [execution])
        for kind in ("Training", "Processing", "Transform"):
            jobs = grants.arn(self, "sagemaker", f"{kind.lower()}-job", "*")
            grants.allow(settle, [f"sagemaker:Describe{kind}Job"], [jobs])
            grants.allow(settle, [f"sagemaker:List{kind}Jobs"], ["*"])  # has no resource
            if kind != "Transform":
                grants.allow(settle, [f"sagemaker:Stop{kind}Job"], [jobs])
        self._see_searches(settle)
        grants.allow(settle, ["sagemaker:ListHyperParameterTuningJobs"], ["*"])  # has no resource
        tuning_jobs = grants.arn(self, "sagemaker", "hyper-parameter-tuning-job", "*")
        grants.allow(settle, ["sagemaker:StopHyperParameterTuningJob"], [tuning_jobs])
        logs = Stack.of(self).format_arn(
            service="logs",
            resource="log-group",
            resource_name="/aws/sagemaker/*",
            arn_format=ArnFormat.COLON_RESOURCE_NAME,
        )
        grants.allow(settle, ["logs:FilterLogEvents", "logs:DescribeLogStreams"], [logs, f"{logs}:*"])
        grants.announce(settle, self)
        return settle

    def _resume(self) -> lambda_.Function:
        """Covers the rest of a run and redrives it, or stops what was redriven uncovered."""
        resume = self._handler(
            "Resume",
            seconds=quotas.LONGEST_SECONDS,
            memory_mb=1024,
            environment={names.MONTHLY_USD: str(self._settings.monthly_usd)},
            layers=self._pricing,
            dead_letter_queue=self._dead_letters,
        )
        grants.encrypt(resume, self._dead_letters.encryption_master_key)
        grants.rows(resume, self._places.ledger, *ROW)
        _see_quotas(resume)
        verbs = ("DescribeExecution", "GetExecutionHistory", "DescribeStateMachineForExecution", "RedriveExecution")
        execution = grants.execution_arn(self, names.MACHINE_PIPELINE)
        grants.allow(resume, [f"states:{verb}" for verb in (*verbs, "StopExecution")], [execution])
        grants.allow(resume, ["states:DescribeStateMachine"], [self._deployment])  # what is left may start it
        return resume


def _see_quotas(function: lambda_.Function) -> None:
    """Allow reading what the account may run at once, which whoever takes machines for a run asks for."""
    actions = ["servicequotas:ListServiceQuotas", "servicequotas:ListAWSDefaultServiceQuotas"]
    grants.allow(function, actions, ["*"])  # have no resource


ROW = ("GetItem", "PutItem", "UpdateItem")
"""What a handler does with rows; none deletes one."""
