"""All commands under one name. Only what the named command needs is imported: a token takes a wallet, no archive."""

from importlib import import_module

import typer

# Name → where it is defined, and whether it is a group of commands.
COMMANDS: dict[str, tuple[str, str, bool]] = {
    "up": ("running", "up", False),
    "serve": ("running", "serve", False),
    "demo": ("running", "demo", False),
    "doctor": ("running", "doctor", False),
    "deploy": ("chain", "deploy", False),
    "token": ("people", "token", False),
    "patient": ("people", "patient", True),
    "request": ("asking", "request", True),
    "role": ("chain", "role", True),
    "identity": ("identity", "identity", True),
    "directory": ("directory", "directory", True),
    "client": ("programs", "client", True),
    "db": ("chain", "database", True),
    "team": ("team", "team", True),
    "consent": ("consent", "consent", True),
    "emergency": ("emergency", "emergency", True),
    "access": ("audit", "access", True),
    "audit": ("audit", "audit", True),
}


def command_line(named: str | None = None) -> typer.Typer:
    """The command line with the command ``named``, or with all of them when that is none of ours."""
    cli = typer.Typer(name="consentry", no_args_is_help=True, pretty_exceptions_enable=False, add_completion=False)
    cli.callback()(_consentry)
    for name, (module, attribute, is_group) in COMMANDS.items():
        if named in COMMANDS and name != named:
            continue
        found = getattr(import_module(f"app.commands.{module}"), attribute)
        if is_group:
            cli.add_typer(found, name=name)
        else:
            cli.command(name)(found)
    return cli


def _consentry() -> None:
    """A DICOMweb gateway that asks the chain before it lets anyone see an image."""
