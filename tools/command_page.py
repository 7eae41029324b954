"""Writes ``docs/COMMANDS.md`` from the command line itself (``make docs``); a test holds the two together."""

import sys
from pathlib import Path
from typing import Any

from typer.main import get_command

from app.commands.root import command_line

PAGE = Path(__file__).resolve().parent.parent / "docs" / "COMMANDS.md"
# Said once on top instead of with every command.
EVERYWHERE = {"--json", "--gateway", "--keystore", "--help"}

TOP = """\
# The command line

`make docs` writes this page from the programs' own help. Exit status: 0, 1 when the command failed, 2 when it was
called wrongly.

- `--json` prints one JSON document instead of a table.
- `--gateway` names the gateway, for the commands that ask one. Default: `CONSENTRY_GATEWAY_URL`, else `http://localhost:8080`.
- `--keystore` names an encrypted key file, for the commands that sign. Its password comes from
  `CONSENTRY_KEYSTORE_PASSWORD` or a prompt. Without a keystore the key comes from `CONSENTRY_WALLET_KEY`.
"""


def commands(command: Any, path: tuple[str, ...] = ()) -> list[tuple[str, Any]]:  # noqa: ANN401  typer hides its types
    """Every command below this one as ``("patient enrol", command)``, in the order of the help."""
    parts = getattr(command, "commands", None)
    if not parts:
        return [(" ".join(path), command)]
    return [found for name, part in parts.items() for found in commands(part, (*path, name))]


def section(name: str, command: Any) -> str:  # noqa: ANN401  the same
    arguments = [parameter for parameter in command.params if parameter.param_type_name == "argument"]
    options = [
        parameter for parameter in command.params if parameter not in arguments and not EVERYWHERE & set(parameter.opts)
    ]
    usage = " ".join([f"consentry {name}", *(parameter.name.upper() for parameter in arguments)])
    lines = [f"\n## `{usage}`\n", " ".join((command.help or "").split("\n\n")[0].split()), ""]
    rows = [(f"`{parameter.name.upper()}`", parameter) for parameter in arguments if parameter.help]
    rows += [(f"`{' '.join(parameter.opts)}`", parameter) for parameter in options]
    lines += [f"- {title}: {' '.join((parameter.help or '').split())}" for title, parameter in rows]
    return "\n".join(lines).rstrip() + "\n"


def page() -> str:
    """The whole page."""
    return TOP + "".join(section(name, command) for name, command in commands(get_command(command_line())))


def main() -> int:
    PAGE.write_text(page())
    return 0


if __name__ == "__main__":
    sys.exit(main())
