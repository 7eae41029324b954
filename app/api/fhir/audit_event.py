"""An access as a FHIR R4 AuditEvent after IHE's Basic Audit Log Patterns (docs/FHIR.md: where each element is from).

Searches are ``PatientQuery``, what was viewed or retrieved is ``PatientRead``, what was stored ``PatientCreate``. An
answer that broke off is none of them: those patterns are of what succeeded.
"""

from base64 import b64encode
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from app.api.fhir.values import Json, absent, coding, concept, instant, named, purpose_code, study
from app.api.hexadecimal import checksum, to_hex
from app.core.consent.basis import GUARDIAN, SELF, UPLOADER
from app.core.consent.terms import Action, Modification
from app.core.record import decode
from app.store.accesses import Access

_PROFILE: Final = "https://profiles.ihe.net/ITI/BALP/StructureDefinition/IHE.BasicAudit."
_DICOM: Final = "http://dicom.nema.org/resources/ontology/DCM"
_ENTITY: Final = "http://terminology.hl7.org/CodeSystem/audit-entity-type"
_ROLE: Final = "http://terminology.hl7.org/CodeSystem/object-role"
_PARTICIPATION: Final = "http://terminology.hl7.org/CodeSystem/v3-ParticipationType"
_SOURCE_ROLE, _DESTINATION_ROLE = (("110153", "Source Role ID"), ("110152", "Destination Role ID"))
_NO_CONSENT: Final = {SELF: "self", GUARDIAN: "guardian", UPLOADER: "uploader"}


@dataclass(frozen=True, slots=True)
class _Pattern:
    """What tells the three patterns apart. ``client`` and ``server``: who is called the source of what flows."""

    profile: str
    interaction: str
    action: str
    client: tuple[str, str]
    server: tuple[str, str]
    user: tuple[str, str]


_QUERY = _Pattern("PatientQuery", "search", "E", _SOURCE_ROLE, _DESTINATION_ROLE, ("IRCP", "information recipient"))
_READ = _Pattern("PatientRead", "read", "R", _DESTINATION_ROLE, _SOURCE_ROLE, ("IRCP", "information recipient"))
_CREATE = _Pattern("PatientCreate", "create", "C", _SOURCE_ROLE, _DESTINATION_ROLE, ("AUT", "author (originator)"))


def audit_event(access: Access, actor_name: str | None, origin_url: str, chain_id: int) -> Json:
    """The resource. ``actor_name`` as the directory has it and the chain vouches for; ``origin_url``: this gateway."""
    pattern = _pattern(access)
    record = decode(access.body) if access.body else None  # nothing is left of an erased patient's
    gateway = "erased" if record is None else record.gateway
    broken_off = access.outcome is not None and not access.outcome.complete
    event: Json = {
        "resourceType": "AuditEvent",
        "id": access.record_id.hex(),
        "type": coding("http://terminology.hl7.org/CodeSystem/audit-event-type", "rest", "Restful Operation"),
        "subtype": [coding("http://hl7.org/fhir/restful-interaction", pattern.interaction, pattern.interaction)],
        "action": pattern.action,
        "recorded": instant(access.at),
        "purposeOfEvent": [{"coding": [purpose_code(access.purpose.name)]}],
        "agent": [
            _client(pattern, None if record is None else record.session_tag.hex()),
            {
                "type": concept(_DICOM, *pattern.server),
                "who": named("gateway", gateway, "Device"),
                "requestor": False,
                "network": {"address": origin_url, "type": "5"},
            },
            _user(pattern, access, actor_name),
        ],
        "source": {
            "site": urlsplit(origin_url).hostname or "",
            "observer": named("gateway", gateway, "Device"),
            "type": [coding("http://terminology.hl7.org/CodeSystem/security-source-type", "4", "Application Server")],
        },
        "entity": [
            _what(pattern, access, None if record is None else record.target),
            {
                "what": named("patient-key", to_hex(access.patient), "Patient"),
                "type": coding(_ENTITY, "1", "Person"),
                "role": coding(_ROLE, "1", "Patient"),
            },
            _basis(access),
            *_on_chain(access, chain_id),
        ],
    }
    if broken_off:
        event |= {"outcome": "4", "outcomeDesc": "The answer was not read to its end."}
        return event
    event["meta"] = {"profile": [_PROFILE + pattern.profile]}
    if access.outcome is not None:
        event["outcome"] = "0"
    return event


def _pattern(access: Access) -> _Pattern:
    if access.action is Modification.STORE:
        return _CREATE
    return _QUERY if access.action is Action.SEARCH else _READ


def _client(pattern: _Pattern, session: str | None) -> Json:
    """The program that asked: known by the session it asked in, and not by where it stands in the network."""
    return {
        "type": concept(_DICOM, *pattern.client),
        "who": named("session", session or "erased", "Device"),
        "requestor": False,
        "network": absent("unknown"),
    }


def _user(pattern: _Pattern, access: Access, name: str | None) -> Json:
    return {
        "type": concept(_PARTICIPATION, *pattern.user),
        "who": named("account", checksum(access.actor), display=name),
        **({"name": name} if name else {}),
        "requestor": True,
        "purposeOfUse": [{"coding": [purpose_code(access.purpose.name)]}],
    }


def _what(pattern: _Pattern, access: Access, target: str | None) -> Json:
    entity: Json = {"type": coding(_ENTITY, "2", "System Object")}
    if pattern is _QUERY:
        # The query as it was parsed and written anew; what was searched for was never kept
        query = b64encode((target or "erased").encode()).decode()
        return {**entity, "role": coding(_ROLE, "24", "Query"), "query": query}
    what = absent("unknown") if access.study is None else study(access.study)
    return {**entity, "what": what, "role": coding(_ROLE, "4", "Domain Resource")}


def _basis(access: Access) -> Json:
    basis = _NO_CONSENT.get(access.basis)
    what = named("consent", to_hex(access.basis), "Consent") if basis is None else named("basis", basis)
    return {"what": what, "type": coding(_ENTITY, "4", "Other"), "description": "On what basis access was given"}


def _on_chain(access: Access, chain_id: int) -> list[Json]:
    found = access.on_chain
    if found is None:
        return []
    details = {
        "chain": str(chain_id),
        "sequence": str(found.seq),
        "block": str(found.block.number),
        "commitment": to_hex(access.commitment),
        "final": "true" if found.final else "false",
    }
    return [
        {
            "what": named("transaction", to_hex(found.tx_hash)),
            "type": coding(_ENTITY, "4", "Other"),
            "description": "Where this access is on the chain",
            "detail": [{"type": kind, "valueString": value} for kind, value in details.items()],
        }
    ]
