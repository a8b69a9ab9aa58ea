"""Which tenants there are: those that ``tandem tenant add`` gave roles, a key and a row."""

from __future__ import annotations

from contract import ledger
from contract.errors import InvalidConfig
from functions import table


def check(tenant: str) -> None:
    """Refuse a tenant that has nothing here: its jobs would have no role to take.

    Raises:
        InvalidConfig: with the command that adds it.
    """
    if table.get(ledger.tenant_key(tenant)) is None:
        raise InvalidConfig("tenant", tenant, "a tenant that was added", f"Add it with: tandem tenant add {tenant}")
