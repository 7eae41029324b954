"""The compiled contracts as they are committed: ABI and creation code (``app/chain/abi``, proved fresh by a test)."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

# In the order in which they are deployed.
NAMES: Final = (
    *("ConsentryRoles", "PatientRegistry", "CareTeams", "EmergencyAccess"),
    *("ConsentRegistry", "AccessLog", "PasskeyVerifier"),
)
_FOLDER: Final = Path(__file__).parent / "abi"
_REPOSITORY: Final = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, slots=True)
class Artefact:
    """One contract: its Solidity JSON ABI, and the code that creates it when the constructor's arguments follow."""

    name: str
    abi: tuple[dict[str, Any], ...]
    creation_code: bytes

    @property
    def path(self) -> str:
        """Where the file is, relative to the repository: what the deployment file names."""
        return (_FOLDER / f"{self.name}.json").resolve().relative_to(_REPOSITORY).as_posix()


def load(name: str) -> Artefact:
    """The artefact of one of NAMES. Raises OSError, ValueError or KeyError when the installation is broken."""
    document = json.loads((_FOLDER / f"{name}.json").read_text(encoding="utf-8"))
    return Artefact(name, tuple(document["abi"]), bytes.fromhex(document["bytecode"].removeprefix("0x")))
