"""Who calls: credentials for roles, as STS gives them to functions, machines, jobs and whoever assumes one.

The laptop cloud acts for a role with the role's own credentials, so that a call in its name is told from a person's.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from moto.iam.models import iam_backends
from moto.sts.models import AssumedRole, sts_backends

if TYPE_CHECKING:
    from local.cloud import Cloud

LASTS_S = 12 * 3600


@dataclass(frozen=True, kw_only=True)
class Session:
    """A role that somebody has taken.

    Args:
        role: its ARN.
        arn: of the session, as refusals name it.
    """

    role: str
    arn: str


class Callers:
    """The sessions of this cloud.

    Args:
        cloud: whose roles.
    """

    def __init__(self, cloud: Cloud) -> None:
        self.cloud = cloud
        self._taken: dict[tuple[str, str], AssumedRole] = {}
        self._clients: dict[tuple[str, str], Any] = {}
        self._known: dict[str, Session | None] = {}
        self._lock = threading.Lock()

    def environment(self, role: str, session: str) -> dict[str, str]:
        """Return the variables with which a program acts as a role; a person's where IAM has no such role."""
        taken = self._take(role, session)
        if taken is None:
            return self.cloud.environment
        credentials = {
            "AWS_ACCESS_KEY_ID": taken.access_key_id,
            "AWS_SECRET_ACCESS_KEY": taken.secret_access_key,
            "AWS_SESSION_TOKEN": taken.session_token,
        }
        return {**self.cloud.environment, **credentials}

    def client(self, role: str, service: str, session: str = "tandem") -> Any:
        """Return a boto3 client that acts as a role; a person's where IAM has no such role."""
        taken = self._take(role, session)
        if taken is None:
            return self.cloud.client(service)
        key = (taken.access_key_id, service)
        with self._lock:
            if key not in self._clients:
                self._clients[key] = self.cloud.make_client(
                    service, taken.access_key_id, taken.secret_access_key, taken.session_token
                )
            return self._clients[key]

    def session(self, role: str, name: str) -> Session | None:
        """Return a role's session; None where IAM has no such role."""
        taken = self._take(role, name)
        return Session(role=role, arn=taken.arn) if taken else None

    def of(self, access_key: str) -> Session | None:
        """Return the session that an access key is of; None for a person's."""
        if access_key not in self._known:
            self._known[access_key] = self._find(access_key)
        return self._known[access_key]

    def _find(self, access_key: str) -> Session | None:
        for taken in sts_backends[self.cloud.account]["aws"].assumed_roles:
            if taken.access_key_id == access_key:
                return Session(role=taken.role_arn, arn=taken.arn)
        return None

    def _take(self, role: str, session: str) -> AssumedRole | None:
        with self._lock:
            if (role, session) not in self._taken and self.exists(role):
                self._taken[role, session] = sts_backends[self.cloud.account]["aws"].assume_role(
                    region_name=self.cloud.region,
                    role_session_name=session,
                    role_arn=role,
                    policy="",
                    duration=LASTS_S,
                    external_id="",
                )
            return self._taken.get((role, session))

    def exists(self, role: str) -> bool:
        """Say whether IAM has a role of this ARN."""
        return any(each.arn == role for each in iam_backends[self.cloud.account]["aws"].get_roles())
