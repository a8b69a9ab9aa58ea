"""TandemApi: applications ask the models over HTTPS."""

from __future__ import annotations

from aws_cdk import CfnOutput, Stack
from constructs import Construct

from contract import names
from infra.api import Api
from infra.settings import Settings
from infra.stacks.storage import Storage


class PublicApi(Stack):
    """The REST API with its functions."""

    def __init__(self, scope: Construct, id: str, *, storage: Storage, settings: Settings) -> None:
        super().__init__(scope, id, description="Tandem: models as a service")
        self.api = Api(self, "Api", artifacts=storage.artifacts, ledger=storage.ledger, settings=settings)
        CfnOutput(self, names.OUTPUT_API_ID, value=self.api.rest.rest_api_id)
        CfnOutput(self, names.OUTPUT_API_URL, value=self.api.rest.url)
