"""What a patient's own software does with a proof: open the commitment and find the event, trusting nothing but the
node.
"""

import json
from pathlib import Path
from typing import Any

from web3 import Web3
from web3.logs import DISCARD

from app.core.record import commit, decode

_ABI = Path(__file__).resolve().parents[1] / "chain" / "abi" / "AccessLog.json"


def opens(proof: dict[str, Any], rpc_url: str, shown: dict[str, Any]) -> bool:
    """True when the record opens the commitment of exactly that event on the chain, and says what ``shown`` says."""
    body, salt = bytes.fromhex(proof["record"][2:]), bytes.fromhex(proof["salt"][2:])
    record = decode(body)
    web3 = Web3(Web3.HTTPProvider(rpc_url))
    contract = web3.eth.contract(
        address=Web3.to_checksum_address(proof["contract"]), abi=json.loads(_ABI.read_text(encoding="utf-8"))["abi"]
    )
    receipt = web3.eth.get_transaction_receipt(proof["tx_hash"])
    events = contract.events.AccessLogged().process_receipt(receipt, errors=DISCARD)
    found = [event["args"] for event in events if event["args"]["seq"] == proof["seq"]]
    return (
        len(found) == 1
        and found[0]["commitment"] == commit(body, salt)
        and found[0]["accessor"] == Web3.to_checksum_address(record.actor)
        and found[0]["basis"] == record.basis
        and found[0]["patientKey"] == record.patient
        and found[0]["decisionBlock"] == record.block.number
        and found[0]["decisionBlockHash"] == record.block.hash
        and record.record_id.hex() == shown["id"]
        and Web3.to_checksum_address(record.actor) == shown["actor"]
    )
