"""The public API: a REST API with keys, a few functions, and errors of one shape.

Deployed with everything else, because idle it costs nothing and answers nobody without a key; the context
``tandem:api=false`` leaves it out.
"""

from __future__ import annotations

from typing import Any

from aws_cdk import aws_apigateway as apigateway
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_s3 as s3
from constructs import Construct

from contract import keys, names
from contract.lambda_calls import ALIAS
from infra import grants, roles
from infra.handler import Handler, source
from infra.settings import Settings

RATE, BURST = 100, 200
"""Requests a second of all consumers together, and at once; a consumer's own limits are its usage plan's."""
PAGE_RATE, PAGE_BURST = 5, 10
"""The same of what needs no key."""
LONGEST_SECONDS = 29
"""As long as API Gateway waits for an answer."""

ERRORS = {
    "DEFAULT_4XX": (None, "BadRequest", "$context.error.messageString"),
    "DEFAULT_5XX": (None, "InternalError", "$context.error.messageString"),
    "INVALID_API_KEY": (
        "403",
        "Forbidden",
        '"The API key is missing or not known; send it as the header x-api-key."',
    ),
    "MISSING_AUTHENTICATION_TOKEN": (
        "404",
        "NotFound",
        '"There is nothing here; predictions are POST /v1/TENANT/PROJECT/predict."',
    ),
    "REQUEST_TOO_LARGE": ("413", "PayloadTooLarge", '"The body is larger than the API takes: 4 MiB."'),
    "THROTTLED": ("429", "TooManyRequests", '"The key asks faster than it may; try again in a second."'),
    "QUOTA_EXCEEDED": ("429", "QuotaExceeded", '"The key has used up its quota."'),
    "INTEGRATION_TIMEOUT": ("504", "TimedOut", '"The model did not answer in time."'),
    "INTEGRATION_FAILURE": ("502", "InternalError", '"The request failed; the log says why."'),
}
"""What API Gateway itself answers: status, type, message, where the message is an expression of its templates."""
RETRY_AFTER = {"THROTTLED": "'1'", "QUOTA_EXCEEDED": "'3600'", "INTEGRATION_TIMEOUT": "'5'"}


class Api(Construct):
    """``/{tenant}/{project}`` with what is below it; the stage ``v1`` comes before."""

    def __init__(
        self, scope: Construct, id: str, *, artifacts: s3.IBucket, ledger: dynamodb.ITable, settings: Settings
    ) -> None:
        super().__init__(scope, id)
        environment = {names.LEDGER_TABLE: ledger.table_name}
        asking = environment | {names.ARTIFACTS_BUCKET: artifacts.bucket_name}
        self.predict = self._handler("Predict", asking, settings, memory_mb=1024)
        self.prediction = self._handler("Prediction", environment, settings)
        self.describe = self._handler("Describe", environment, settings)
        self.approval = self._handler("Approval", environment, settings)
        self._grant(artifacts, ledger)
        self.rest = self._rest()
        self._routes()
        self._errors()

    def _handler(self, id: str, environment: dict[str, str], settings: Settings, **options: Any) -> Handler:
        return Handler(
            self,
            id,
            entry=f"functions.{id.lower()}.handler",
            code=source("functions", "contract"),
            environment=environment,
            settings=settings,
            seconds=LONGEST_SECONDS,
            **options,
        )

    def _grant(self, artifacts: s3.IBucket, ledger: dynamodb.ITable) -> None:
        for function in (self.predict, self.prediction, self.describe, self.approval):
            grants.rows(function, ledger, "GetItem")
        packages = grants.arn(self, "sagemaker", "model-package", "*--*/*")
        grants.allow(self.approval, ["sagemaker:DescribeModelPackage", "sagemaker:UpdateModelPackage"], [packages])
        grants.read(self.describe, artifacts, f"*/runs/*/{keys.MODEL}")
        for function in (self.describe, self.prediction):
            roles.open_outputs(function, self)
        endpoints = grants.arn(self, "sagemaker", "endpoint", "*--*")
        grants.allow(self.predict, ["sagemaker:InvokeEndpoint", "sagemaker:InvokeEndpointAsync"], [endpoints])
        asynchronous = keys.async_prefix("*", "*")
        grants.write(self.predict, artifacts, f"{asynchronous}{keys.ASYNC_REQUESTS}*")
        grants.rows(self.predict, ledger, "PutItem")  # where the answer to a request that waits will be
        grants.rows(self.prediction, ledger, "UpdateItem")  # that it was fetched
        for folder in (keys.ASYNC_ANSWERS, keys.ASYNC_FAILURES):
            grants.read(self.prediction, artifacts, f"{asynchronous}{folder}*")
        functions = grants.function_arn(self, f"{names.function('*', '*')}:{ALIAS}")
        grants.allow(self.predict, ["lambda:InvokeFunction"], [functions])

    def _rest(self) -> apigateway.RestApi:
        project = "/{tenant}/{project}"
        public = (
            f"{project}/docs/GET",
            *(f"{project}/versions/{{version}}/approval/{verb}" for verb in ("GET", "POST")),
        )
        pages = {path: _limits(PAGE_RATE, PAGE_BURST) for path in public}
        return apigateway.RestApi(
            self,
            "Rest",
            rest_api_name=names.APP,
            description="Tandem: models as a service",
            endpoint_types=[apigateway.EndpointType.REGIONAL],
            binary_media_types=["*/*"],  # every body reaches the model byte for byte
            cloud_watch_role=False,
            fail_on_warnings=True,
            deploy_options=apigateway.StageOptions(
                stage_name=names.API_STAGE,
                tracing_enabled=True,
                throttling_rate_limit=RATE,
                throttling_burst_limit=BURST,
                method_options=pages,
            ),
        )

    def _routes(self) -> None:
        project = self.rest.root.add_resource("{tenant}").add_resource("{project}")
        describe, predict = _integration(self.describe), _integration(self.predict)
        prediction = _integration(self.prediction)
        project.add_method("GET", describe, api_key_required=True)
        project.add_resource("predict").add_method("POST", predict, api_key_required=True)
        project.add_resource("predictions").add_resource("{id}").add_method("GET", prediction, api_key_required=True)
        project.add_resource("openapi.json").add_method("GET", describe, api_key_required=True)
        project.add_resource("docs").add_method("GET", describe)
        # No key: the link that a notification carries has a secret of its own.
        version = project.add_resource("versions").add_resource("{version}").add_resource("approval")
        for method in ("GET", "POST"):
            version.add_method(method, _integration(self.approval))

    def _errors(self) -> None:
        for kind, (status, name, message) in ERRORS.items():
            template = (
                f'{{"error": {{"type": "{name}", "message": {message}, "path": "", '
                '"request_id": "$context.requestId"}}'
            )
            headers = {"x-request-id": "context.requestId"}
            if kind in RETRY_AFTER:
                headers["Retry-After"] = RETRY_AFTER[kind]
            self.rest.add_gateway_response(
                kind.title().replace("_", ""),
                type=apigateway.ResponseType.of(kind),
                status_code=status,
                response_headers=headers,
                templates={"application/json": template},
            )


def _limits(rate: int, burst: int) -> apigateway.MethodDeploymentOptions:
    return apigateway.MethodDeploymentOptions(throttling_rate_limit=rate, throttling_burst_limit=burst)


def _integration(function: lambda_.IFunction) -> apigateway.LambdaIntegration:
    return apigateway.LambdaIntegration(function, allow_test_invoke=False)
