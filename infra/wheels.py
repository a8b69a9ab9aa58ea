"""Wheelhouses: the few packages that containers and functions need beyond what they have.

Bundled without Docker, by pip. CDK skips bundling where it is told to
(context ``aws:cdk:bundling-stacks`` = []), as on a laptop, which has the
packages already; the asset is then the list of pins alone.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import jsii
from aws_cdk import AssetHashType, BundlingOptions, DockerImage, ILocalBundling
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_s3_assets as assets
from constructs import Construct

FOLDER = Path(__file__).parents[1] / "training" / "wheels"
CONTAINER_PINS, TENSORFLOW_PINS, LAYER_PINS = "requirements.txt", "tensorflow.txt", "lambda.txt"
CONTAINER = ("manylinux_2_28_x86_64", "manylinux_2_27_x86_64", "manylinux2014_x86_64", "manylinux_2_17_x86_64")
LAMBDA = ("manylinux_2_28_aarch64", "manylinux_2_27_aarch64", "manylinux2014_aarch64", "manylinux_2_17_aarch64")


class Wheels(assets.Asset):
    """Wheels for the Deep Learning Containers (x86_64, Python 3.12), beside the lists that pin them."""

    def __init__(self, scope: Construct, id: str) -> None:
        bundling = _bundling(Download())
        super().__init__(
            scope,
            id,
            path=str(FOLDER),
            exclude=[LAYER_PINS],
            asset_hash_type=AssetHashType.SOURCE,
            bundling=bundling,
        )


class Layer(lambda_.LayerVersion):
    """Packages installed for Lambda (arm64, Python 3.12).

    Args:
        scope, id: where it is.
        pins: the list that pins them.
    """

    def __init__(self, scope: Construct, id: str, *, pins: Path) -> None:
        others = [other.name for other in pins.parent.glob("*.txt") if other != pins]
        code = lambda_.Code.from_asset(
            str(pins.parent),
            exclude=others,
            asset_hash_type=AssetHashType.SOURCE,
            bundling=_bundling(Install(pins)),
        )
        super().__init__(
            scope,
            id,
            code=code,
            compatible_runtimes=[lambda_.Runtime.PYTHON_3_12],
            compatible_architectures=[lambda_.Architecture.ARM_64],
        )


@jsii.implements(ILocalBundling)
class Download:
    """``pip download`` into the asset."""

    def try_bundle(self, output_dir: str, *_image: object, **_options: object) -> bool:
        """Fill ``output_dir``; CDK's interface."""
        for name in (CONTAINER_PINS, TENSORFLOW_PINS):
            pins = FOLDER / name
            pip("download", *_platforms(CONTAINER), "--dest", output_dir, "--requirement", str(pins))
            Path(output_dir, name).write_bytes(pins.read_bytes())
        return True


@jsii.implements(ILocalBundling)
class Install:
    """``pip install`` into the asset's folder ``python/``, which Lambda puts on the path."""

    def __init__(self, pins: Path) -> None:
        self._pins = pins

    def try_bundle(self, output_dir: str, *_image: object, **_options: object) -> bool:
        """Fill ``output_dir``; CDK's interface."""
        target = ("--no-compile", "--target", f"{output_dir}/python")
        pip("install", *_platforms(LAMBDA), *target, "--requirement", str(self._pins))
        return True


def pip(*arguments: str) -> None:
    """Run pip on exact pins: nothing but what the lists name.

    Raises:
        RuntimeError: with pip's own words.
    """
    command = [sys.executable, "-m", "pip", arguments[0], "--quiet", "--no-deps", "--only-binary=:all:", *arguments[1:]]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} failed:\n{done.stderr.strip()}")


def _platforms(tags: tuple[str, ...]) -> list[str]:
    platforms = [argument for tag in tags for argument in ("--platform", tag)]
    abis = [argument for abi in ("cp312", "abi3", "none") for argument in ("--abi", abi)]
    return [*platforms, "--python-version", "3.12", "--implementation", "cp", *abis]


def _bundling(local: ILocalBundling) -> BundlingOptions:
    # The image names what the local bundling stands for; it is never pulled, because try_bundle never declines.
    return BundlingOptions(image=DockerImage.from_registry("public.ecr.aws/sam/build-python3.12"), local=local)
