"""A consent as a FHIR R4 Consent (docs/FHIR.md says where each element is from).

Made of what ``GET /api/consents`` shows to the same caller, so it says no more to anybody.
"""

from html import escape
from typing import Any, Final

from app.api.fhir.values import Json, coding, concept, instant, named, purpose_code, study

_ACTION: Final = "http://terminology.hl7.org/CodeSystem/consentaction"
_OURS: Final = "urn:consentry:action"
# In force or not, in FHIR's words: what is not final yet opens nothing.
_STATUS: Final = {
    "submitted": "proposed",
    "mined": "proposed",
    "active": "active",
    "revoked": "inactive",
    "expired": "inactive",
    "failed": "rejected",
}
_ISO_DATE_LENGTH: Final = 10


def consent_resource(view: dict[str, Any]) -> Json:
    """The resource of one consent, as the API shows it."""
    permits = view["effect"] == "permit"
    resource: Json = {
        "resourceType": "Consent",
        "id": view["consent_id"].removeprefix("0x"),
        "identifier": [{"system": "urn:consentry:consent", "value": view["consent_id"]}],
        "status": _STATUS[view["status"]],
        "scope": concept("http://terminology.hl7.org/CodeSystem/consentscope", "patient-privacy", "Privacy Consent"),
        "category": [concept("http://loinc.org", "59284-0", "Consent Document")],
        "patient": named("patient-key", view["patient_key"], "Patient"),
        "policyRule": concept("http://terminology.hl7.org/CodeSystem/v3-ActCode", "OPTIN" if permits else "OPTOUT"),
        "provision": _provision(view),
    }
    if view["tx_hash"] is not None:
        resource["identifier"].append({"system": "urn:consentry:transaction", "value": view["tx_hash"]})
    if view["words"] is not None:
        # What the patient read and signed; markup in it is text
        paragraphs = "".join(f"<p>{escape(line)}</p>" for line in view["words"].splitlines() if line.strip())
        div = f'<div xmlns="http://www.w3.org/1999/xhtml">{paragraphs}</div>'
        resource["text"] = {"status": "additional", "div": div}
    if view["parent"] is not None:
        resource["sourceReference"] = named("consent", view["parent"], "Consent")
    if view["share_depth"]:
        resource["extension"] = [{"url": "urn:consentry:fhir:share-depth", "valueInteger": view["share_depth"]}]
    return resource


def _provision(view: dict[str, Any]) -> Json:
    grantee = view["grantee"]
    # An account is written in 20 bytes, a team's id in 32
    kind = ("care-team", "CareTeam") if len(grantee) > 2 + 2 * 20 else ("account", None)
    provision: Json = {
        "type": view["effect"],
        "period": {"start": instant(view["valid_from"]), "end": instant(view["valid_until"])},
        "actor": [
            {
                "role": concept(
                    "http://terminology.hl7.org/CodeSystem/v3-ParticipationType", "IRCP", "information recipient"
                ),
                "reference": named(kind[0], grantee, kind[1], view["grantee_name"]),
            }
        ],
        "action": [_action(word) for word in view["actions"]],
        "purpose": [purpose_code(purpose) for purpose in view["purposes"]],
    }
    scope = view["scope"]
    if scope == "all":
        return provision
    if "studies" in scope:
        provision["data"] = [{"meaning": "instance", "reference": study(uid)} for uid in scope["studies"]]
    bounds = {"start": scope.get("from_date"), "end": scope.get("to_date")}
    # A bound that is a number and no day can stand on the chain, and not in FHIR
    period = {name: day for name, day in bounds.items() if day is not None and len(day) == _ISO_DATE_LENGTH}
    if period:
        provision["dataPeriod"] = period
    return provision


def _action(word: str) -> Json:
    code = "disclose" if word == "share" else "access"
    return {"coding": [coding(_ACTION, code), coding(_OURS, word)]}
