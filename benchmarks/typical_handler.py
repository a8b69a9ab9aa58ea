"""What benchmarks/cold_start.py compares our handlers with: a handler as Powertools' documentation writes one.

https://docs.aws.amazon.com/powertools/python/latest/: logger, tracer, metrics and parser made once for each container,
the client too, as AWS advises ("Initialize SDK clients outside of the function handler").
"""

import boto3
from aws_lambda_powertools import Logger, Metrics, Tracer
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.parser import BaseModel, event_parser
from aws_lambda_powertools.utilities.typing import LambdaContext

logger = Logger(service="orders")
tracer = Tracer(service="orders")
metrics = Metrics(namespace="shop", service="orders")
dynamodb = boto3.client("dynamodb")


class Order(BaseModel):
    """An event."""

    order_id: str
    quantity: int


@metrics.log_metrics
@logger.inject_lambda_context
@tracer.capture_lambda_handler
@event_parser(model=Order)
def handler(event: Order, context: LambdaContext) -> dict[str, str]:
    """Keep an order."""
    dynamodb.put_item(TableName="orders", Item={"id": {"S": event.order_id}, "quantity": {"N": str(event.quantity)}})
    metrics.add_metric(name="Orders", unit=MetricUnit.Count, value=1)
    return {"order_id": event.order_id}
