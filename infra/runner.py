"""The pipeline's state machine, its parts and its grants."""

from __future__ import annotations

from aws_cdk import Stack
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_s3_assets as assets
from aws_cdk.region_info import FactName
from constructs import Construct

from contract import names
from infra import grants, pipeline, roles
from infra.code import Code
from infra.handlers import Handlers
from infra.image import ImageBuild
from infra.machine import Machine, MachineRole
from infra.network import Network
from infra.roles import PULL, CommonJobs
from infra.settings import Settings
from infra.spark import SparkImage
from infra.steps.parts import Parts
from infra.wheels import Wheels

IMAGES = "pytorch"
CPU_TAG, GPU_TAG = "2.13-cpu-amzn2023-sagemaker", "2.13-cu133-amzn2023-sagemaker"
"""AWS's Deep Learning Containers with the torch that requirements.lock pins."""

TENSORFLOW_IMAGES = "tensorflow-training"
TENSORFLOW_CPU_TAG, TENSORFLOW_GPU_TAG = (
    "2.21.0-cpu-py312-amzn2023-sagemaker",
    "2.21.0-gpu-py312-cu129-amzn2023-sagemaker",
)
"""Those with the TensorFlow that pyproject.toml's extra pins; only training jobs of Keras recipes take them."""

CALLED = ("accept", "prepare", "plan", "best", "halt", "judge", "register", "ask", "settle")
"""The functions that the story calls."""


class Runner(Construct):
    """Runs the story of ``infra/pipeline.py``."""

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        handlers: Handlers,
        data: s3.IBucket,
        artifacts: s3.IBucket,
        ledger: dynamodb.ITable,
        build: ImageBuild,
        deployment_arn: str,
        network: Network | None,
        settings: Settings,
    ) -> None:
        super().__init__(scope, id)
        code, wheels = Code(self, "Code"), Wheels(self, "Wheels")
        spark = self._common_jobs([code, wheels], network)
        self._show_images(handlers.register)
        parts = Parts(
            **{name: getattr(handlers, name).function_arn for name in CALLED},
            **self._images(),
            deployment=deployment_arn,
            job_role=roles.role_of("$run.tenant", names.ROLE_JOB),
            data_bucket=data.bucket_name,
            artifacts_bucket=artifacts.bucket_name,
            ledger=ledger.table_name,
            key=roles.key_of("$run.tenant"),
            code=code.s3_object_url,
            wheels=wheels.s3_object_url,
            spark_image=spark.uri,
            image_repository=build.repository.repository_name,
            image_tag=build.tag,
            image_build=build.project_name,
            network=network.of_jobs if network else {},
        )
        role = MachineRole(self, "Role")
        package = grants.arn(self, "sagemaker", "model-package", "*--*/*")
        grants.allow(role, ["sagemaker:UpdateModelPackage"], [package])
        grants.invoke(role, *(getattr(handlers, name) for name in CALLED))
        grants.rows(role, ledger, "GetItem")
        grants.read(role, artifacts, "*/runs/*")
        roles.open_outputs(role, self)
        self._grant_jobs(role)
        self._grant_image(role, build)
        self._grant_deployment(role, deployment_arn)
        story = pipeline.story(parts)
        self.machine = Machine(
            self, "Machine", name=names.MACHINE_PIPELINE, definition=story, role=role, settings=settings
        )

    def _common_jobs(self, inputs: list[assets.Asset], network: Network | None) -> SparkImage:
        """Let the jobs of all tenants read their inputs and pull their images; return Spark's, which is one of them."""
        jobs = CommonJobs(
            self,
            "CommonJobs",
            registry_account=self._registry_account,
            image_repositories=(IMAGES, TENSORFLOW_IMAGES),
            inputs=inputs,
        )
        spark = SparkImage(self, "Spark")
        grants.allow(jobs, PULL, [spark.repository_arn])
        if network:
            network.admit(jobs)
        return spark

    def _show_images(self, register: lambda_.IFunction) -> None:
        """A script's version names the image that trained it, which its registration must be able to see."""
        stack = Stack.of(self)
        registry = f"ecr:{stack.region}:{self._registry_account}"
        image = f"arn:{stack.partition}:{registry}:repository/{IMAGES}"
        grants.allow(register, ["ecr:BatchGetImage", "ecr:DescribeImages"], [image])

    def _images(self) -> dict[str, str]:
        """Return the addresses of the images of training and processing jobs, as Parts names them."""
        return {
            "cpu_image": self._image(IMAGES, CPU_TAG),
            "gpu_image": self._image(IMAGES, GPU_TAG),
            "tensorflow_cpu_image": self._image(TENSORFLOW_IMAGES, TENSORFLOW_CPU_TAG),
            "tensorflow_gpu_image": self._image(TENSORFLOW_IMAGES, TENSORFLOW_GPU_TAG),
        }

    def _image(self, repository: str, tag: str) -> str:
        """Return the address of a Deep Learning Container in the registry of the stack's region."""
        stack = Stack.of(self)
        return f"{self._registry_account}.dkr.ecr.{stack.region}.{stack.url_suffix}/{repository}:{tag}"

    @property
    def _registry_account(self) -> str:
        return Stack.of(self).regional_fact(FactName.DLC_REPOSITORY_ACCOUNT)

    def _grant_jobs(self, role: iam.IRole) -> None:
        kinds = {"training": "Training", "processing": "Processing", "hyper-parameter-tuning": "HyperParameterTuning"}
        for kind, name in kinds.items():
            actions = [f"sagemaker:{verb}{name}Job" for verb in ("Create", "Describe", "Stop")]
            # Any name: a job's begins with the run's, which can be anything.
            jobs = [grants.arn(self, "sagemaker", f"{kind}-job", "*")]
            grants.allow(role, [*actions, "sagemaker:AddTags"], jobs)
            if kind in ("training", "processing"):  # those that Step Functions waits for
                grants.allow(role, ["sagemaker:ListTags"], jobs)
        rules = (
            "StepFunctionsGetEventsForSageMakerTrainingJobsRule",
            "StepFunctionsGetEventsForSageMakerProcessingJobsRule",
        )
        grants.wait_for(role, self, *rules)
        roles.hand_over(role, names.ROLE_JOB)

    def _grant_image(self, role: iam.IRole, build: ImageBuild) -> None:
        grants.allow(role, ["ecr:DescribeImages"], [build.repository.repository_arn])
        builds = ["codebuild:StartBuild", "codebuild:StopBuild", "codebuild:BatchGetBuilds"]
        grants.allow(role, builds, [build.project_arn])
        grants.wait_for(role, self, "StepFunctionsGetEventForCodeBuildStartBuildRule")

    def _grant_deployment(self, role: iam.IRole, deployment_arn: str) -> None:
        grants.allow(role, ["states:StartExecution"], [deployment_arn])
        execution = grants.execution_arn(self, names.MACHINE_DEPLOYMENT)
        grants.allow(role, ["states:DescribeExecution", "states:StopExecution"], [execution])
        grants.wait_for(role, self, "StepFunctionsGetEventsForStepFunctionsExecutionRule")
