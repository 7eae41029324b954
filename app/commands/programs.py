"""``consentry client``: the programs that people may sign in with, registered by whoever runs the gateway."""

import re
from collections.abc import Callable
from typing import Annotated, Any, TypeVar

import typer

from app.commands.configured import database_or_fail
from app.commands.output import CommandError, JsonOption, emit, emit_table
from app.core.oauth.redirects import is_acceptable
from app.core.oauth.scopes import SCOPES
from app.store.engine import StoreUnavailableError
from app.store.oauth_clients import OauthClient, OauthClients

client = typer.Typer(help="Register programs that people sign in with (OpenID Connect).", no_args_is_help=True)

T = TypeVar("T")

_IDENTITY = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,62}[A-Za-z0-9])?", re.ASCII)
ClientArgument = Annotated[str, typer.Argument(metavar="CLIENT_ID", help="The program's client_id.")]


@client.command("add")
def add(  # noqa: PLR0917 - options
    client_id: ClientArgument,
    name: Annotated[str, typer.Option(help="What people read when the program asks.")],
    redirect: Annotated[
        list[str] | None, typer.Option(help="An address that people may be sent back to, exactly; again for another.")
    ] = None,
    post_logout: Annotated[
        list[str] | None, typer.Option(help="The same for after signing out; again for another.")
    ] = None,
    scope: Annotated[
        list[str] | None, typer.Option(help=f"What it may ask for; again for another. Of: {', '.join(SCOPES)}.")
    ] = None,
    native: Annotated[
        bool, typer.Option("--native", help="It runs on people's machines: the port of a loopback address is free.")
    ] = False,
    device: Annotated[bool, typer.Option("--device", help="It may be let in by a code on another device.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Register a program, in place of an earlier one of this id; a running gateway knows it at once.

    Without `--scope` it may ask for everything but to store images.
    """
    chosen = tuple(scope or ("openid", "profile", "dicomweb", "offline_access"))
    redirects, post_logouts = tuple(redirect or ()), tuple(post_logout or ())
    if not _IDENTITY.fullmatch(client_id):
        raise typer.BadParameter("a client_id is letters, digits, '.', '_' and '-', 64 at the most")
    if not 0 < len(name.strip()) <= 80 or not name.isprintable():
        raise typer.BadParameter("a name of 80 characters at the most, for people to read")
    if not set(chosen) <= set(SCOPES):
        raise typer.BadParameter(f"scopes are {', '.join(SCOPES)}")
    if not all(map(is_acceptable, (*redirects, *post_logouts))):
        raise typer.BadParameter(
            "addresses are https, or http on loopback, with the host in lower case and no fragment"
        )
    if not redirects and not device:
        raise typer.BadParameter("a program needs --redirect, or --device")
    made = OauthClient(client_id, name.strip(), redirects, post_logouts, chosen, native, device)
    _with_clients(lambda clients: clients.put(made))
    emit(_document(made), as_json, [f"{client_id} is registered as {made.name}"])


@client.command("list")
def list_clients(as_json: JsonOption = False) -> None:
    """List the registered programs."""
    rows = [_document(one) for one in _with_clients(lambda clients: clients.all())]
    columns = ["client_id", "name", "redirect_uris", "scopes", "native", "device"]
    emit_table(rows, columns, as_json, "no program is registered")


@client.command("remove")
def remove(client_id: ClientArgument, as_json: JsonOption = False) -> None:
    """Take a program away: everything that people allowed it ends, on running gateways within two seconds."""
    if not _with_clients(lambda clients: clients.remove(client_id)):
        raise CommandError("no such program is registered")
    emit({"client_id": client_id, "removed": True}, as_json, [f"{client_id} is removed"])


def _with_clients(work: Callable[[OauthClients], T]) -> T:
    database = database_or_fail()
    try:
        return work(OauthClients(database))
    except StoreUnavailableError as error:
        raise CommandError(str(error)) from None
    finally:
        database.close()


def _document(one: OauthClient) -> dict[str, Any]:
    return {
        "client_id": one.client_id,
        "name": one.name,
        "redirect_uris": list(one.redirect_uris),
        "post_logout_redirect_uris": list(one.post_logout_redirect_uris),
        "scopes": list(one.scopes),
        "native": one.native,
        "device": one.device,
    }
