"""All commands under one name."""

import typer

from app.commands import audit, chain, consent, people, running

cli = typer.Typer(
    name="consentry",
    help="A DICOMweb gateway that asks the chain before it lets anyone see an image.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
cli.command("up")(running.up)
cli.command("serve")(running.serve)
cli.command("demo")(running.demo)
cli.command("doctor")(running.doctor)
cli.command("deploy")(chain.deploy)
cli.command("token")(people.token)
cli.add_typer(people.patient, name="patient")
cli.add_typer(people.request, name="request")
cli.add_typer(chain.role, name="role")
cli.add_typer(chain.database, name="db")
cli.add_typer(consent.consent, name="consent")
cli.add_typer(audit.access, name="access")
cli.add_typer(audit.audit, name="audit")
