"""The command line. Exit status 0, 1 when the command failed, 2 when it was called wrongly."""

import sys


def main() -> None:
    """Entry point of ``consentry``."""
    # Imported here and not above: the archive's worker processes import this module again, and need none of it.
    from app.commands.output import CommandError, say  # noqa: PLC0415
    from app.commands.root import command_line  # noqa: PLC0415

    try:
        command_line(sys.argv[1] if len(sys.argv) > 1 else None)()
    except CommandError as error:
        say(f"consentry: {error}")
        sys.exit(1)


if __name__ == "__main__":
    main()
