"""The embedded chain: keeps its state through every way of dying, is never left behind, and says what is wrong."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
from eth_account import Account

from app.chain.anvil import DEVELOPMENT_KEYS, Anvil, AnvilError, binary, free_port
from app.chain.anvil_state import ChainFolder, ChainFolderBusyError
from app.chain.quantities import quantity
from app.chain.rpc import RpcError

OWNER = """
import asyncio, sys
from pathlib import Path
from app.chain.anvil import Anvil
from app.chain.anvil_state import ChainFolder

async def main():
    anvil = Anvil(int(sys.argv[1]), ChainFolder(Path(sys.argv[2])))
    await anvil.start()
    await anvil.node.call("anvil_mine", "0x3")
    print(anvil.pid, flush=True)
    await asyncio.sleep(60)

asyncio.run(main())
"""


async def height(anvil: Anvil) -> int:
    return quantity(await anvil.node.call("eth_blockNumber"), "the height")


@asynccontextmanager
async def kept(anvil: Anvil) -> AsyncIterator[None]:
    keeping = asyncio.create_task(anvil.keep(0.02))
    try:
        yield
    finally:
        keeping.cancel()
        with suppress(asyncio.CancelledError):
            await keeping


def runs(pid: int) -> bool:
    """False also for a process that ended and that nobody has waited for yet."""
    found = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return bool(found.stdout.strip()) and not found.stdout.strip().startswith("Z")


async def gone(pid: int) -> bool:
    for _ in range(100):
        if not runs(pid):
            return True
        await asyncio.sleep(0.05)
    return False


async def until_state_holds(folder: ChainFolder, blocks: int) -> None:
    for _ in range(200):
        with suppress(OSError):
            if f'"best_block_number":{blocks}' in folder.state.read_text():
                return
        await asyncio.sleep(0.02)
    raise AssertionError("the state is not written")


async def test_an_orderly_end_keeps_everything(tmp_path: Path) -> None:
    folder = ChainFolder(tmp_path / "chain")
    async with Anvil(free_port(), folder) as anvil:
        await anvil.node.call("anvil_mine", "0x5")
        head = await anvil.node.call("eth_getBlockByNumber", "latest", False)
    async with Anvil(free_port(), folder) as anvil:
        assert await anvil.node.call("eth_getBlockByNumber", "latest", False) == head
    assert folder.path.stat().st_mode & 0o077 == 0


async def test_a_killed_chain_starts_again_with_what_was_written(tmp_path: Path) -> None:
    folder = ChainFolder(tmp_path)
    async with Anvil(free_port(), folder) as anvil, kept(anvil):
        await anvil.node.call("anvil_mine", "0x4")
        await until_state_holds(folder, 4)
        killed = anvil.pid
        os.kill(killed, signal.SIGKILL)
        for _ in range(200):
            with suppress(RpcError, AnvilError):
                if anvil.pid != killed and await height(anvil) == 4:
                    break
            await asyncio.sleep(0.02)
        assert anvil.pid != killed
        assert await height(anvil) == 4


async def test_the_chain_ends_with_its_killed_owner_and_keeps_its_last_block(tmp_path: Path) -> None:
    port = free_port()
    owner = await asyncio.create_subprocess_exec(
        sys.executable, "-c", OWNER, str(port), str(tmp_path), stdout=asyncio.subprocess.PIPE
    )
    assert owner.stdout is not None
    try:
        pid = int(await owner.stdout.readline())
        assert runs(pid)
    finally:
        owner.kill()
        await owner.wait()
    # The owner had written nothing yet: the chain itself did, when its owner was gone. The same port is free again.
    async with Anvil(port, ChainFolder(tmp_path)) as anvil:
        assert await height(anvil) == 3
    assert await gone(pid)


async def test_two_chains_on_one_folder_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.chain.anvil._LOCK_WAIT_S", 0.1)
    async with Anvil(free_port(), ChainFolder(tmp_path)):
        with pytest.raises(ChainFolderBusyError):
            await Anvil(free_port(), ChainFolder(tmp_path)).start()


async def test_a_port_in_use_is_named_with_its_remedy(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        with pytest.raises(AnvilError, match=r"port \d+ is in use: set CONSENTRY_RPC_PORT"):
            await Anvil(other.getsockname()[1], ChainFolder(tmp_path)).start()
    async with Anvil(free_port(), ChainFolder(tmp_path)) as anvil:  # the failed start holds no lock
        assert await height(anvil) == 0


async def test_a_half_written_exit_state_is_passed_over(tmp_path: Path) -> None:
    folder = ChainFolder(tmp_path)
    async with Anvil(free_port(), folder) as anvil:
        await anvil.node.call("anvil_mine", "0x2")
    folder.exit_state.write_bytes(folder.state.read_bytes()[:-100])
    async with Anvil(free_port(), folder) as anvil:
        assert await height(anvil) == 2


async def test_an_exit_state_older_than_what_was_written_is_passed_over(tmp_path: Path) -> None:
    folder = ChainFolder(tmp_path)
    async with Anvil(free_port(), folder) as anvil:
        await anvil.node.call("anvil_mine", "0x2")
    older = folder.state.read_bytes()
    async with Anvil(free_port(), folder) as anvil:
        await anvil.node.call("anvil_mine", "0x2")
    folder.exit_state.write_bytes(older)
    async with Anvil(free_port(), folder) as anvil:
        assert await height(anvil) == 4


async def test_a_state_that_cannot_be_loaded_is_said(tmp_path: Path) -> None:
    folder = ChainFolder(tmp_path)
    folder.state.write_text("{")
    with pytest.raises(AnvilError, match="did not start"):
        await Anvil(free_port(), folder).start()


async def test_nothing_is_written_while_nothing_changes(tmp_path: Path) -> None:
    async with Anvil(free_port(), ChainFolder(tmp_path)) as anvil:
        assert await anvil.persist()
        assert not await anvil.persist()
        await anvil.node.call("evm_mine")
        assert await anvil.persist()


async def test_two_writers_take_turns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writing = 0
    write = ChainFolder.write

    def slowly(folder: ChainFolder, dump: bytes) -> None:
        nonlocal writing
        writing += 1
        assert writing == 1, "two writers at once"
        time.sleep(0.05)
        write(folder, dump)
        writing -= 1

    monkeypatch.setattr(ChainFolder, "write", slowly)
    async with Anvil(free_port(), ChainFolder(tmp_path)) as anvil:
        done = []
        for _ in range(3):
            await anvil.node.call("evm_mine")
            done.append(asyncio.create_task(anvil.persist()))
        assert any(await asyncio.gather(*done))


async def test_the_development_accounts_are_anvils_own() -> None:
    async with Anvil(free_port()) as anvil:
        accounts = await anvil.node.call("eth_accounts")
    assert accounts == [Account.from_key(key).address.lower() for key in DEVELOPMENT_KEYS]


def test_a_missing_binary_is_said_with_its_remedy(tmp_path: Path) -> None:
    with pytest.raises(AnvilError, match="make"):
        binary(tmp_path)
