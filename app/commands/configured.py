"""The settings, for commands that need them."""

from app.commands.output import CommandError
from app.settings import Settings, SettingsError, load


def settings_or_fail() -> Settings:
    """The settings. Raises CommandError that names every problem."""
    try:
        return load()
    except SettingsError as error:
        raise CommandError("\n  ".join(["the settings cannot be used:", *error.problems])) from None
