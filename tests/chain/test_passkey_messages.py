"""Every kind of message that a passkey signs, taken by the contracts on a real chain."""

from app.core.consent.basis import actor_of
from app.core.consent.terms import Capacity, TeamPart, Window
from app.core.identifiers import Grantee, PatientKey, Signer, UnixTime
from app.core.signing.claim_code import claim_address, claim_key, sign_digest
from app.core.signing.messages import Claim, GuardianChange, Message, MoveAcceptance, MoveVeto, TeamChange
from app.core.signing.typed_data import Domains, digest, words_hash
from tests.support.authenticator import Authenticator
from tests.support.chain import MOVE_DELAY_S, Chain, signer

_WORDS = "I agree."
_PATIENT = PatientKey(b"\x51" * 32)


def _domains(chain: Chain) -> Domains:
    names = ("PatientRegistry", "ConsentRegistry", "CareTeams", "EmergencyAccess")
    return Domains(chain.deployment.chain_id, *map(chain.deployment.address, names))


def _passkey(chain: Chain, device: Authenticator) -> Signer:
    return Signer(chain.deployment.address("PasskeyVerifier") + device.key)


def _signed(chain: Chain, device: Authenticator, message: Message) -> bytes:
    return device.sign(digest(message, _WORDS, _domains(chain))).encoded()


async def _claimed(chain: Chain, device: Authenticator) -> UnixTime:
    """The patient, claimed with the passkey; a deadline for whatever follows."""
    key, deadline = claim_key("0" * 26), UnixTime(await chain.time() + 7200)
    await chain.send(signer("registrar"), chain.contracts.patients.enrol(_PATIENT, claim_address(key), deadline))
    message = Claim(_PATIENT, _passkey(chain, device), deadline)
    by_code = sign_digest(key, digest(message, _WORDS, _domains(chain)))
    by_passkey = _signed(chain, device, message)
    call = chain.contracts.patients.claim(
        _PATIENT, message.controller, by_code, by_passkey, deadline, words_hash(_WORDS)
    )
    await chain.send(signer("relayer"), call)
    return deadline


async def test_claim_guardian_veto_and_move(chain: Chain) -> None:
    old, guardian, new = Authenticator(), Authenticator(), Authenticator()
    patients, hashed = chain.contracts.patients, words_hash(_WORDS)
    deadline = await _claimed(chain, old)
    named = GuardianChange(_PATIENT, _passkey(chain, guardian), UnixTime(deadline + 86_400), 0, deadline)
    await chain.send(
        signer("relayer"),
        patients.set_guardian_by_signature(
            _PATIENT, named.guardian, named.until, _signed(chain, old, named), deadline, hashed
        ),
    )
    for device, capacity in ((old, Capacity.CONTROLLER), (guardian, Capacity.GUARDIAN), (new, Capacity.NONE)):
        view = patients.capacity_of(_PATIENT, actor_of(_passkey(chain, device)))
        assert await chain.contracts.ask(chain.nodes, view) is capacity
    await chain.send(signer("registrar"), patients.start_move(_PATIENT, _passkey(chain, new)))
    veto = _signed(chain, old, MoveVeto(_PATIENT, 1, deadline))
    await chain.send(signer("relayer"), patients.veto_move_by_signature(_PATIENT, veto, deadline, hashed))
    await chain.send(signer("registrar"), patients.start_move(_PATIENT, _passkey(chain, new)))
    await chain.rpc("evm_increaseTime", MOVE_DELAY_S)
    accepted = _signed(chain, new, MoveAcceptance(_PATIENT, _passkey(chain, new), 2, deadline))
    await chain.send(signer("relayer"), patients.finish_move(_PATIENT, accepted, deadline, hashed))
    kept = await chain.contracts.ask(chain.nodes, patients.patient(_PATIENT))
    assert kept.controller == _passkey(chain, new)


async def test_a_care_team_led_with_a_passkey(chain: Chain) -> None:
    lead, teams, team = Authenticator(), chain.contracts.teams, Grantee(b"\x77" * 32)
    by, now = _passkey(chain, lead), await chain.time()
    until = UnixTime(now + 86_400)
    await chain.send(signer("registrar"), teams.create(team))
    await chain.send(signer("registrar"), teams.set_part(team, actor_of(by), TeamPart.LEAD, Window(now, until)))
    member = signer("physician1").address
    change = TeamChange(team, member, TeamPart.MEMBER, now, until, 1, until)
    signature = _signed(chain, lead, change)
    await chain.send(signer("relayer"), teams.set_part_by_signature(change, words_hash(_WORDS), by, signature))
    assert await chain.contracts.ask(chain.nodes, teams.window(team, member, TeamPart.MEMBER)) == Window(now, until)
