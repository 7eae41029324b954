"""``consentry directory``: who an account is, in words that patients read; the chain vouches for them by a hash."""

import asyncio
import os
from typing import Annotated

import typer
from eth_utils.address import to_checksum_address

from app.commands.chain import AccountArgument, account_of, send_as_admin
from app.commands.client import KeystoreOption
from app.commands.configured import database_or_fail
from app.commands.output import CommandError, JsonOption, emit, emit_table
from app.core.directory import SALT_BYTES, entry_hash
from app.store.directory import Directory, DirectoryEntry
from app.store.engine import StoreUnavailableError

directory = typer.Typer(help="Name accounts, so that patients read names and not hex.", no_args_is_help=True)


@directory.command("set")
def put(
    account: AccountArgument,
    name: Annotated[str, typer.Option(help="The person's name.")],
    organisation: Annotated[str, typer.Option(help="Where they work.")] = "",
    registration: Annotated[str, typer.Option(help="A professional registration number.")] = "",
    keystore: KeystoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write an entry here and its hash on the chain (the admin's wallet signs); again replaces it.

    Until both are there and fit, patients see what the chain vouched for before, or the account's address.
    """
    address, salt = account_of(account), os.urandom(SALT_BYTES)
    hashed = entry_hash(salt, name, organisation, registration)
    entry = DirectoryEntry(address, name, organisation, registration, salt, hashed)
    database = database_or_fail()
    try:
        asyncio.run(Directory(database).put(entry))
    except StoreUnavailableError as error:
        raise CommandError(str(error)) from None
    finally:
        database.close()
    send_as_admin(lambda contracts: contracts.roles.set_directory_entry(address, hashed), keystore)
    document = {"account": account, "name": name, "organisation": organisation, "hash": "0x" + hashed.hex()}
    emit(document, as_json, [f"{account} is {name}{f', {organisation}' if organisation else ''}"])


@directory.command("list")
def list_entries(as_json: JsonOption = False) -> None:
    """List the entries that are kept here, the newest of each account."""
    database = database_or_fail()
    try:
        entries = asyncio.run(Directory(database).all({}))
    except StoreUnavailableError as error:
        raise CommandError(str(error)) from None
    finally:
        database.close()
    rows = [
        {
            "account": str(to_checksum_address(entry.address)),
            "name": entry.name,
            "organisation": entry.organisation,
            "registration": entry.registration,
        }
        for entry in entries
    ]
    emit_table(rows, ["name", "organisation", "registration", "account"], as_json, "the directory is empty")
