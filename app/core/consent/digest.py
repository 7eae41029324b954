"""One digest for a whole State: two mirrors agree when their digests do (P9), however each came to where it is."""

import hashlib
from collections.abc import Iterable, Mapping

from app.core.consent.emergencies import Emergency
from app.core.consent.grants import Consent
from app.core.consent.state import Guardian, Move, Patient, Revoked, State
from app.core.consent.teams import Team
from app.core.consent.terms import Window
from app.core.identifiers import Address


def digest(state: State) -> bytes:
    """SHA-256 over every entry in the order of its key. Takes time in proportion to the state; meant for tests and
    audits.
    """
    whole = hashlib.sha256()
    _section(whole, ((key, _patient(patient)) for key, patient in state.patients.items()))
    _section(
        whole,
        ((role + account, _parts(window.start, window.end)) for (role, account), window in state.roles.items()),
    )
    _section(whole, state.directory.items())
    _section(whole, ((grantee, _parts(*sorted(keys))) for grantee, keys in state.named.items()))
    _section(whole, ((actor, _parts(*sorted(keys))) for actor, keys in state.acting.items()))
    _section(whole, ((claim_key, _parts(*sorted(keys))) for claim_key, keys in state.claiming.items()))
    _section(whole, ((team, _team(one)) for team, one in state.teams.items()))
    _section(whole, ((account, _parts(*sorted(teams))) for account, teams in state.member_of.items()))
    _section(whole, ((one.id, _emergency(one)) for one in state.emergencies.values()))
    _section(
        whole,
        ((actor + key, latest) for actor, broken in state.broken_by.items() for key, latest in broken.items()),
    )
    _section(whole, ((key, _parts(*opened)) for key, opened in state.broken_for.items()))
    _section(whole, ((actor + _parts(day), _parts(count)) for (actor, day), count in state.openings.items()))
    return whole.digest()


def _section(whole: "hashlib._Hash", entries: Iterable[tuple[bytes, bytes]]) -> None:
    ordered = sorted(entries)
    whole.update(_parts(len(ordered)))
    for key, value in ordered:
        whole.update(_parts(key, value))


def _patient(patient: Patient) -> bytes:
    revoked = sorted((consent_id, _revoked(entry)) for consent_id, entry in patient.revoked.items())
    return _parts(
        patient.claim_key,
        patient.claim_until,
        patient.controller,
        patient.actor,
        _guardian(patient.guardian),
        patient.guardian_nonce,
        _move(patient.move),
        patient.move_nonce,
        patient.epoch,
        patient.granted,
        patient.dated,
        patient.ward_until,
        patient.erased,
        *(_consent(consent) for consent in patient.live_consents()),
        *(part for entry in revoked for part in entry),
    )


def _revoked(revoked: Revoked) -> bytes:
    return _parts(None if revoked.consent is None else _consent(revoked.consent), revoked.capacity)


def _consent(consent: Consent) -> bytes:
    return _parts(
        consent.id,
        consent.grantee,
        consent.ordinal,
        consent.epoch,
        consent.effect,
        consent.actions,
        consent.purposes,
        consent.window.start,
        consent.window.end,
        consent.capacity,
        consent.dates.first,
        consent.dates.last,
        consent.share_depth,
        *((None, None) if consent.line is None else (consent.line.parent, consent.line.sharer)),
        *consent.studies,
    )


def _team(team: Team) -> bytes:
    return _parts(team.nonce, *_windows(team.members), None, *_windows(team.leads))


def _windows(part: Mapping[Address, Window]) -> Iterable[bytes | int]:
    for account in sorted(part):
        window = part[account]
        yield from (account, window.start, window.end)


def _emergency(emergency: Emergency) -> bytes:
    review = emergency.review
    return _parts(
        emergency.patient,
        emergency.actor,
        emergency.reason_hash,
        emergency.window.start,
        emergency.window.end,
        *((None, None, None) if review is None else (review.finding, review.reviewer, review.note_hash)),
    )


def _guardian(guardian: Guardian | None) -> bytes | None:
    return None if guardian is None else _parts(guardian.signer, guardian.actor, guardian.until)


def _move(move: Move | None) -> bytes | None:
    return None if move is None else _parts(move.controller, move.ready_at)


def _parts(*values: bytes | int | None) -> bytes:
    """Each value with its length before it; None is told from empty."""
    encoded = [len(values).to_bytes(4, "big")]
    for value in values:
        body = value.to_bytes(8, "big") if isinstance(value, int) else value
        encoded.append(b"\xff\xff\xff\xff" if body is None else len(body).to_bytes(4, "big") + body)
    return b"".join(encoded)
