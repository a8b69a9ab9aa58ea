"""What every handler shares, made once for each container: logger, settings, clients."""

from __future__ import annotations

import functools
import os
from typing import Any

import botocore.session
from aws_lambda_powertools import Logger
from botocore.config import Config

from contract import names

CONNECTIONS = 32
"""Connections each client may hold open: Accept request copies that many objects at once."""

logger = Logger(service=names.APP)


@functools.cache
def environment(name: str) -> str:
    """Return a setting of this function (contract.names).

    Raises:
        RuntimeError: when the stack did not set it.
    """
    value = os.environ.get(name)
    if not value:
        raise RuntimeError(f"environment variable {name} is not set; the stack sets it on this function")
    return value


def setting(name: str) -> str:
    """Return a setting of this function that may be left out; empty where it is."""
    return os.environ.get(name, "")


@functools.cache
def session() -> botocore.session.Session:
    """Return botocore's session: boto3 on top of it would take 50 ms more of each cold start, for nothing used here."""
    return botocore.session.get_session()


@functools.cache
def client(service: str) -> Any:
    """Return the client of a service, made when it is first needed."""
    config = Config(retries={"mode": "standard", "max_attempts": 5}, max_pool_connections=CONNECTIONS)
    return session().create_client(service, config=config)


def error_code(error: Any) -> str:
    """Return the code of a botocore ClientError: ``NoSuchKey``, ``404``, ..."""
    return str(error.response.get("Error", {}).get("Code", ""))
