"""AWS's Spark image for processing jobs: Spark 3.5, Python 3.12, the launcher ``smspark-submit``."""

from __future__ import annotations

from aws_cdk import Aws, CfnMapping
from constructs import Construct

REPOSITORY, TAG = "sagemaker-spark-processing", "3.5-cpu-py312-v1.3"
ACCOUNTS = {
    "us-east-1": "173754725891", "us-east-2": "314815235551", "us-west-1": "667973535471",
    "us-west-2": "153931337802", "ap-northeast-1": "411782140378", "ap-northeast-2": "860869212795",
    "ap-east-1": "732049463269", "ap-south-1": "105495057255", "ap-southeast-1": "759080221371",
    "ap-southeast-2": "440695851116", "af-south-1": "309385258863", "me-south-1": "750251592176",
    "sa-east-1": "737130764395", "ca-central-1": "446299261295", "eu-central-1": "906073651304",
    "eu-north-1": "330188676905", "eu-west-1": "571004829621", "eu-west-2": "836651553127",
    "eu-south-1": "753923664805", "eu-west-3": "136845547031", "cn-north-1": "671472414489",
    "cn-northwest-1": "844356804704",
    "ap-east-2": "533267296287", "ap-northeast-3": "102471314380", "ap-south-2": "873151114052",
    "ap-southeast-3": "800295151634", "ap-southeast-4": "819679513684", "ap-southeast-5": "841784149062",
    "ap-southeast-6": "278240940207", "ap-southeast-7": "471112967968", "ca-west-1": "000907499111",
    "eu-central-2": "142351485170", "eu-south-2": "833944533722", "il-central-1": "408426139102",
    "me-central-1": "395420993607", "mx-central-1": "211125459255", "us-gov-east-1": "260923028637",
    "us-gov-west-1": "271483468897",
}  # fmt: skip
"""Of the registry in each region, from available_images.md of github.com/aws/sagemaker-spark-container and, for younger
regions, image_uri_config/spark.json of the SageMaker Python SDK. A stack cannot be made in a region that is missing
here, whether it prepares on Spark or not."""


class SparkImage(Construct):
    """Where the image is in the stack's region.

    Attributes:
        uri: its address.
        repository_arn: its repository, to be pulled from.
    """

    def __init__(self, scope: Construct, id: str) -> None:
        super().__init__(scope, id)
        mapping = {region: {"account": account} for region, account in ACCOUNTS.items()}
        account = CfnMapping(self, "Registry", mapping=mapping).find_in_map(Aws.REGION, "account")
        self.uri = f"{account}.dkr.ecr.{Aws.REGION}.{Aws.URL_SUFFIX}/{REPOSITORY}:{TAG}"
        self.repository_arn = f"arn:{Aws.PARTITION}:ecr:{Aws.REGION}:{account}:repository/{REPOSITORY}"
