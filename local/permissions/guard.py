"""The guard at the cloud's door: may the role that calls do this?

An action is allowed when a policy of the role allows it, and none denies it, the bucket's included; what a bucket's
policy allows by itself is not emulated. The use of a key must also be allowed by the key's own policy, which may leave
it to IAM by naming the account ("Policy evaluation logic", IAM User Guide; "Key policies", AWS KMS Developer Guide).
The laptop's own connections count as TLS.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from moto.iam.models import iam_backends
from moto.kms.models import kms_backends

from local.callers import Session
from local.calls import Called
from local.permissions import needs, requests, storage
from local.permissions.denied import Denied, NoRole
from local.permissions.needs import Need, Place
from local.permissions.policy import ALLOW, Request, decide

if TYPE_CHECKING:
    from local.cloud import Cloud


BOOTSTRAP = "cdk-"
"""How the roles of CDK's bootstrap stack are called: with them a person deploys, who may do everything."""


class Guard:
    """Asks the policies of roles, buckets and keys.

    Args:
        cloud: whose.
    """

    def __init__(self, cloud: Cloud) -> None:
        self.cloud = cloud
        self.here = Place(account=cloud.account, region=cloud.region)

    def admit(self, environ: dict[str, Any]) -> None:
        """Let an HTTP request pass, or not.

        Raises:
            Denied: the caller's role may not do it.
            NoRole: the role that it hands over does not exist.
            NotImplementedError: a role asks for what no permission is known of.
        """
        access_key, service = requests.signer(environ)
        session = self.cloud.callers.of(access_key) if access_key.startswith("ASIA") else None
        if session is None or session.role.rpartition("/")[2].startswith(BOOTSTRAP):
            return
        call = requests.read(environ, service)
        if service == "s3":
            asked = storage.needs(call, self.here)
        else:
            asked = needs.of(call, self.here)
            asked += storage.keys_of(call, asked, self.here)
        for need in asked:
            if not self.may(session, need):
                raise Denied(session.arn, service, need.action, need.resource)
            if need.action == "iam:PassRole" and not self.cloud.callers.exists(need.resource):
                raise NoRole(need.resource, need.context["iam:passedtoservice"][0])

    def refusal(self, role: str, name: str, *asked: Need) -> str:
        """Return why a platform may not do this in a role's name; "" when it may.

        Args:
            role: its ARN; one that IAM does not have may do everything.
            name: of the platform's session.
            asked: what it does without a call of its own: it writes logs, it pulls images.
        """
        session = self.cloud.callers.session(role, name)
        for need in asked if session else ():
            assert session is not None
            if not self.may(session, need):
                return str(Denied(session.arn, "", need.action, need.resource))
        return ""

    def may(self, session: Session, need: Need) -> bool:
        """Say whether a role may do this; either way it is noted."""
        context = {
            "aws:securetransport": ["true"],
            "aws:principalarn": [session.role],
            "aws:principalaccount": [self.here.account],
            "aws:requestedregion": [self.here.region],
            **need.context,
        }
        request = Request(action=need.action, resource=need.resource, context=context)
        own = decide(list(policies(self.here.account, session.role)), request)
        allowed = own.allowed and self._resource_agrees(session, request)
        grants = [(match.action, match.resource) for match in own.matches if match.effect == ALLOW]
        called = Called(role=session.role, action=need.action, resource=need.resource, allowed=allowed)
        self.cloud.calls.note(called, grants if allowed else [])
        return allowed

    def service_may_send(self, service: str, arn: str) -> bool:
        """Say whether a service, in its own name, may use the key of a queue or a topic: the key's policy says so."""
        context = {"aws:sourceaccount": [self.here.account]}
        for need in storage.sending(arn, self.here):
            policy = key_policy(self.here, need.resource)
            request = Request(action=need.action, resource=need.resource, context={**context, **need.context})
            if policy is not None and not decide([policy], request, ("Service", service)).allowed:
                return False
        return True

    def _resource_agrees(self, session: Session, request: Request) -> bool:
        account = f"arn:aws:iam::{self.here.account}:root"
        if request.action.startswith("kms:"):
            policy = key_policy(self.here, request.resource)
            who = [("AWS", name) for name in (session.role, account, self.here.account)]
            return policy is None or decide([policy], request, *who).allowed
        if request.action.startswith("s3:") and (policy := storage.bucket_policy(self.here, request.resource)):
            return not decide([policy], request, ("AWS", session.role)).denied
        return True


def policies(account: str, role: str) -> Iterator[str]:
    """Yield the documents of a role's policies, its own and those attached."""
    found = iam_backends[account]["aws"].roles
    for each in list(found.values()):
        if each.arn == role:
            yield from (text if isinstance(text, str) else json.dumps(text) for text in list(each.policies.values()))
            for policy in list(each.managed_policies.values()):
                yield from (version.document for version in policy.versions if version.is_default)


def key_policy(here: Place, arn: str) -> str | None:
    """Return the policy of a key; None of one that this account does not have."""
    key = kms_backends[here.account][here.region].keys.get(arn.rpartition("/")[2])
    return key.policy if key is not None else None
