"""Who asks, as the patient is to know them before they answer: by the directory's entry, and who stands behind that."""

from typing import Any

from app.api.caller import Caller
from app.api.hexadecimal import checksum
from app.api.wiring import Wiring
from app.api.wording import grantee_name, vouched_entry
from app.core.consent.basis import person
from app.core.identifiers import Address


async def requester_of(wiring: Wiring, caller: Caller, account: Address) -> dict[str, Any]:
    """Name, organisation and registration number, only while the chain vouches for them; with whom that is, and since
    when, as far as it can be found out.
    """
    entry = await vouched_entry(wiring, caller.standing, account)
    vouched = None if entry is None else await wiring.vouching.find(account, entry.entry_hash)
    verifier = None
    if vouched is not None:
        name = await grantee_name(wiring, caller.standing, person(vouched.by))
        verifier = {"account": checksum(vouched.by), "name": name}
    return {
        "requester": checksum(account),
        "requester_name": await grantee_name(wiring, caller.standing, person(account)),
        "requester_entry": None
        if entry is None
        else {
            "name": entry.name,
            "organisation": entry.organisation,
            "registration": entry.registration,
            "verified_by": verifier,
            "verified_since": None if vouched is None else vouched.since,
        },
    }
