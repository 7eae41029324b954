"""The settings, and the database that they name, for commands that need them."""

from app.commands.output import CommandError
from app.settings import Settings, SettingsError, load
from app.store.engine import Database, StoreUnavailableError, UnfitDatabaseError, open_database
from app.store.migrate import upgrade


def settings_or_fail() -> Settings:
    """The settings. Raises CommandError that names every problem."""
    try:
        return load()
    except SettingsError as error:
        raise CommandError("\n  ".join(["the settings cannot be used:", *error.problems])) from None


def database_or_fail() -> Database:
    """The configured database with the newest schema; the caller closes it. Raises CommandError."""
    settings = settings_or_fail()
    if not settings.database_url:
        settings.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        opened = open_database(settings.database)
        upgrade(opened)
    except (StoreUnavailableError, UnfitDatabaseError) as error:
        raise CommandError(str(error)) from None
    return opened
