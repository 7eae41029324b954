"""Settings: what would weaken security refuses to start, and no error shows a value."""

from pathlib import Path

import pytest

from app.settings import Settings, SettingsError, load

_KEY_A, _KEY_B, _KEY_C = (bytes(range(start, start + 32)).hex() for start in (1, 60, 120))
_REAL = {
    "CONSENTRY_RPC_URL": "https://node.example.org",
    "CONSENTRY_CHAIN_ID": "1337",
    "CONSENTRY_PUBLIC_URL": "https://images.example.org",
    "CONSENTRY_SITE_KEY": _KEY_A,
    "CONSENTRY_RECORDER_KEY": _KEY_B,
    "CONSENTRY_RELAYER_KEY": _KEY_C,
    "CONSENTRY_ID_TOKEN_KEY": _KEY_A,
}
_PACS = {"CONSENTRY_PACS_URL": "https://pacs.example.org/dicom-web"}
_MAIL = {"CONSENTRY_SMTP_URL": "smtps://user:hunter2@mail.example.org", "CONSENTRY_MAIL_FROM": "images@example.org"}
# The first and the last of anvil's published accounts.
_PUBLISHED = "0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80"
_PUBLISHED_LAST = "2a871d0798f97d79848a013d4936a73bf4cc922c825d33c1cf7073dff6d409c6"


def test_nothing_set_is_the_development_stack() -> None:
    settings = load({}, None)
    assert settings == Settings()
    assert settings.embedded_chain
    assert settings.confirmations == 0
    assert settings.origin_url == "http://localhost:8080"
    assert settings.archive_folder == Path("data/archive")


def test_a_real_installation() -> None:
    settings = load(_REAL, None)
    assert not settings.embedded_chain
    assert settings.confirmations is None
    assert settings.rpc_urls == ("https://node.example.org",)


def test_the_environment_wins_over_the_file(tmp_path: Path) -> None:
    file = tmp_path / ".env"
    file.write_text("CONSENTRY_PORT=1000\nCONSENTRY_RPC_PORT=1001\nOTHER=1\n")
    settings = load({"CONSENTRY_PORT": "2000"}, file)
    assert (settings.port, settings.rpc_port) == (2000, 1001)


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"CONSENTRY_SITE_KEY": ""}, "CONSENTRY_SITE_KEY"),
        ({"CONSENTRY_SITE_KEY": "changeme"}, "CONSENTRY_SITE_KEY"),
        ({"CONSENTRY_SITE_KEY": "<32 bytes>"}, "CONSENTRY_SITE_KEY"),
        ({"CONSENTRY_SITE_KEY": "00" * 32}, "CONSENTRY_SITE_KEY"),
        ({"CONSENTRY_SITE_KEY": _KEY_A[:-2]}, "CONSENTRY_SITE_KEY"),
        ({"CONSENTRY_ID_TOKEN_KEY": ""}, "CONSENTRY_ID_TOKEN_KEY"),
        ({"CONSENTRY_ID_TOKEN_KEY": "11" * 32}, "CONSENTRY_ID_TOKEN_KEY"),
        ({"CONSENTRY_PROGRAM_TOKEN_LIFETIME_S": "0"}, "CONSENTRY_PROGRAM_TOKEN_LIFETIME_S"),
        ({"CONSENTRY_PROGRAM_REFRESH_LIFETIME_S": "-1"}, "CONSENTRY_PROGRAM_REFRESH_LIFETIME_S"),
        ({"CONSENTRY_RECORDER_KEY": ""}, "CONSENTRY_RECORDER_KEY"),
        ({"CONSENTRY_RELAYER_KEY": "replace-me"}, "CONSENTRY_RELAYER_KEY"),
        ({"CONSENTRY_RELAYER_KEY": "0x" + _KEY_B.upper()}, "CONSENTRY_RELAYER_KEY"),
        ({"CONSENTRY_RECORDER_KEY": _PUBLISHED}, "CONSENTRY_RECORDER_KEY"),
        ({"CONSENTRY_RELAYER_KEY": _PUBLISHED_LAST}, "CONSENTRY_RELAYER_KEY"),
        ({"CONSENTRY_RPC_URL": "http://node.example.org"}, "CONSENTRY_RPC_URL"),
        ({"CONSENTRY_RPC_URL": "https://a.example, http://10.0.0.1:8545"}, "CONSENTRY_RPC_URL"),
        ({"CONSENTRY_RPC_URL": "ws://127.0.0.1"}, "CONSENTRY_RPC_URL"),
        ({"CONSENTRY_RPC_URL": ""}, "CONSENTRY_CHAIN_ID"),
        ({"CONSENTRY_SMTP_URL": "smtps://mail.example.org"}, "CONSENTRY_MAIL_FROM"),
        ({"CONSENTRY_MAIL_FROM": "images@example.org"}, "CONSENTRY_SMTP_URL"),
        (_MAIL | {"CONSENTRY_MAIL_FROM": "Images <images@example.org>"}, "CONSENTRY_MAIL_FROM"),
        (_MAIL | {"CONSENTRY_SMTP_URL": "https://mail.example.org"}, "CONSENTRY_SMTP_URL"),
        (_MAIL | {"CONSENTRY_SMTP_URL": "smtp://"}, "CONSENTRY_SMTP_URL"),
        (_MAIL | {"CONSENTRY_SMTP_URL": "smtp://mail.example.org:port"}, "CONSENTRY_SMTP_URL"),
        (_MAIL | {"CONSENTRY_SMTP_URL": "smtp://mail.example.org/path"}, "CONSENTRY_SMTP_URL"),
        (_MAIL | {"CONSENTRY_SMTP_URL": "smtps://user@mail.example.org"}, "CONSENTRY_SMTP_URL"),
        (_MAIL | {"CONSENTRY_SMTP_URL": "smtps://user:change-me@mail.example.org"}, "CONSENTRY_SMTP_URL"),
        ({"CONSENTRY_WEBHOOKS": "everywhere"}, "CONSENTRY_WEBHOOKS"),
        ({"CONSENTRY_PACS_URL": "http://pacs.example.org/dicom-web"}, "CONSENTRY_PACS_URL"),
        ({"CONSENTRY_PACS_URL": "https://user:hunter2@pacs.example.org/"}, "CONSENTRY_PACS_URL"),
        ({"CONSENTRY_PACS_URL": "file://host/folder"}, "CONSENTRY_PACS_URL"),
        ({"CONSENTRY_PACS_USERNAME": "me"}, "CONSENTRY_PACS_PASSWORD"),
        (
            {"CONSENTRY_PACS_TOKEN": "t", "CONSENTRY_PACS_USERNAME": "u", "CONSENTRY_PACS_PASSWORD": "p"},
            "CONSENTRY_PACS_TOKEN",
        ),
        ({"CONSENTRY_PACS_TOKEN": "changeme"}, "CONSENTRY_PACS_TOKEN"),
        ({"CONSENTRY_PACS_TOKEN": "two words"}, "CONSENTRY_PACS_TOKEN"),
        (_PACS | {"CONSENTRY_PACS_USERNAME": "us:er", "CONSENTRY_PACS_PASSWORD": "hunter2"}, "CONSENTRY_PACS_USERNAME"),
        (_PACS | {"CONSENTRY_PACS_USERNAME": "user", "CONSENTRY_PACS_PASSWORD": "<secret>"}, "CONSENTRY_PACS_PASSWORD"),
        (_PACS | {"CONSENTRY_PACS_TOKEN_FILE": "/no/such/token"}, "CONSENTRY_PACS_TOKEN_FILE"),
        (_PACS | {"CONSENTRY_PACS_TOKEN_FILE": __file__, "CONSENTRY_PACS_TOKEN": "tok3n"}, "CONSENTRY_PACS_TOKEN_FILE"),
        ({"CONSENTRY_PACS_TOKEN": "tok3n"}, "CONSENTRY_PACS_URL"),
        (_PACS | {"CONSENTRY_PACS_CLIENT_CERTIFICATE": __file__}, "CONSENTRY_PACS_CLIENT_KEY"),
        (_PACS | {"CONSENTRY_PACS_CLIENT_KEY": __file__}, "CONSENTRY_PACS_CLIENT_CERTIFICATE"),
        (_PACS | {"CONSENTRY_PACS_CLIENT_KEY_PASSWORD": "hunter2"}, "CONSENTRY_PACS_CLIENT_KEY_PASSWORD"),
        (_PACS | {"CONSENTRY_PACS_CA_BUNDLE": "/no/such/bundle"}, "CONSENTRY_PACS_CA_BUNDLE"),
        (_PACS | {"CONSENTRY_PACS_CA_BUNDLE": "<bundle>"}, "CONSENTRY_PACS_CA_BUNDLE"),
        (_PACS | {"CONSENTRY_PACS_FINGERPRINTS": "ab" * 20}, "CONSENTRY_PACS_FINGERPRINTS"),
        (_PACS | {"CONSENTRY_PACS_SERVER_NAME": "https://name"}, "CONSENTRY_PACS_SERVER_NAME"),
        (
            {"CONSENTRY_PACS_URL": "http://127.0.0.1/x", "CONSENTRY_PACS_SERVER_NAME": "pacs.example.org"},
            "CONSENTRY_PACS_SERVER_NAME",
        ),
        ({"CONSENTRY_PUBLIC_URL": "http://images.example.org"}, "CONSENTRY_PUBLIC_URL"),
        ({"CONSENTRY_PUBLIC_URL": "https://images.example.org/path"}, "CONSENTRY_PUBLIC_URL"),
        ({"CONSENTRY_CORS_ORIGINS": "*", "CONSENTRY_CORS_CREDENTIALS": "true"}, "CONSENTRY_CORS_ORIGINS"),
        *(
            ({"CONSENTRY_CORS_ORIGINS": f"https://viewer.example.org, {origin}"}, "CONSENTRY_CORS_ORIGINS")
            for origin in [
                *(
                    "null",
                    "viewer.example.org",
                    "https://viewer.example.org/",
                    "https://VIEWER.example.org",
                    "https://",
                ),
                *(
                    "https://*.example.org",
                    "https://viewer.example.org:443",
                    "http://viewer.example.org:80",
                    "file://x",
                ),
                *("https://user@viewer.example.org", "https://viewer.example.org:0", "https://viewer.example.org:http"),
            ]
        ),
        ({"CONSENTRY_TRUSTED_PROXIES": "everybody"}, "CONSENTRY_TRUSTED_PROXIES"),
        ({"CONSENTRY_FINALITY": "soon"}, "CONSENTRY_FINALITY"),
        ({"CONSENTRY_LOG_LEVEL": "chatty"}, "CONSENTRY_LOG_LEVEL"),
        ({"CONSENTRY_PORT": "0"}, "CONSENTRY_PORT"),
        ({"CONSENTRY_PORT": "eighty"}, "CONSENTRY_PORT"),
        ({"CONSENTRY_CORS_CREDENTIALS": "perhaps"}, "CONSENTRY_CORS_CREDENTIALS"),
        ({"CONSENTRY_STANDING_MAX_AGE_S": "0"}, "CONSENTRY_STANDING_MAX_AGE_S"),
        ({"CONSENTRY_HEAD_MAX_AGE_S": "-1"}, "CONSENTRY_HEAD_MAX_AGE_S"),
        ({"CONSENTRY_BACKLOG_LIMIT": "0"}, "CONSENTRY_BACKLOG_LIMIT"),
        ({"CONSENTRY_SITEKEY": _KEY_A}, "CONSENTRY_SITEKEY"),
    ],
)
def test_what_is_wrong_refuses_to_start_and_names_the_key(changes: dict[str, str], key: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load(_REAL | changes, None)
    text = "\n".join(caught.value.problems)
    assert key in text
    for value in changes.values():
        assert len(value) < 4 or value not in text


def test_origins_as_browsers_write_them_are_fine() -> None:
    origins = ("https://viewer.example.org", "http://localhost:3000", "http://[::1]:8080", "https://10.0.0.7:8443", "*")
    assert load(_REAL | {"CONSENTRY_CORS_ORIGINS": ", ".join(origins)}, None).cors_origins == origins


def test_what_is_fine_for_a_pacs() -> None:
    pins = "ab:" * 31 + "AB," + "0" * 64
    settings = load(_REAL | _PACS | {"CONSENTRY_PACS_FINGERPRINTS": pins, "CONSENTRY_PACS_TOKEN_FILE": __file__}, None)
    assert len(settings.pacs_fingerprints) == 2
    settings = load(
        _REAL
        | _PACS
        | {
            "CONSENTRY_PACS_USERNAME": "user",
            "CONSENTRY_PACS_PASSWORD": "pass",
            "CONSENTRY_PACS_CLIENT_CERTIFICATE": __file__,
            "CONSENTRY_PACS_CLIENT_KEY": __file__,
            "CONSENTRY_PACS_SERVER_NAME": "pacs.example.org",
        },
        None,
    )
    assert settings.pacs_client_key == __file__


def test_what_is_fine_on_the_development_chain() -> None:
    local = {"CONSENTRY_RPC_URL": "http://127.0.0.1:8545", "CONSENTRY_CHAIN_ID": "31337"}
    keys = {"CONSENTRY_RECORDER_KEY": _PUBLISHED, "CONSENTRY_RELAYER_KEY": _PUBLISHED_LAST}
    more = {"CONSENTRY_SITE_KEY": _KEY_A, "CONSENTRY_ID_TOKEN_KEY": _KEY_B, "CONSENTRY_FINALITY": "2"}
    settings = load(local | keys | more, None)
    assert settings.confirmations == 2


def test_a_folder_with_blanks_and_signs_is_an_archive(tmp_path: Path) -> None:
    settings = load({"CONSENTRY_PACS_URL": "file:///srv/CT%20and%20MR"}, None)
    assert settings.archive_folder == Path("/srv/CT and MR")


def test_every_problem_is_named_at_once() -> None:
    with pytest.raises(SettingsError) as caught:
        load(_REAL | {"CONSENTRY_SITE_KEY": "", "CONSENTRY_PUBLIC_URL": "ftp://x"}, None)
    assert len(caught.value.problems) == 2


def test_what_the_command_line_reads_is_no_unknown_setting() -> None:
    assert load({"CONSENTRY_WALLET_KEY": _KEY_A, "CONSENTRY_GATEWAY_URL": "http://x"}, None) == Settings()


@pytest.mark.parametrize(
    ("url", "local"),
    [
        ("smtp://127.0.0.1:25", True),
        ("smtp://[::1]", True),
        ("smtp://localhost", True),
        ("smtp://mail.example.org", False),
        ("smtps://user:p%40ss@mail.example.org:465/", False),
    ],
)
def test_only_a_mail_server_on_this_machine_may_lack_tls(url: str, *, local: bool) -> None:
    settings = load(_REAL | _MAIL | {"CONSENTRY_SMTP_URL": url}, None)
    assert settings.mail_server_is_local is local
