"""Enrolment at the desk, and the claim that binds a patient to their wallet (DESIGN decision 8)."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from pydantic import Field

from app.api.body import Strict, body_of, documented
from app.api.caller import SignedIn
from app.api.hexadecimal import AddressText, SignatureText, checksum, from_hex, to_hex
from app.api.landing import landed
from app.api.wiring import Wiring, wiring_of
from app.chain.wallets import stands_behind
from app.core.basis import actor_of
from app.core.claim_code import RANDOM_BYTES, claim_address, claim_key, make_code, read_code, sign_digest
from app.core.identifiers import Address, PatientKey, Signer, Subject, UnixTime
from app.core.problem import ProblemError, problem
from app.core.pseudonym import patient_key
from app.core.terms import Role
from app.core.typed_data import Claim, TypedDataError
from app.store.engine import ConflictError

router = APIRouter(tags=["enrolment"])
