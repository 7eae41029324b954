"""Copies what browsers need from the locked npm packages: ``python -m tools.vendored`` (``make vendored``).

There is no build step and no CDN, so the few files are kept here as they were published, with their licence; a test
holds them to the package.
"""

import shutil
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENDOR = ROOT / "app" / "portal" / "static" / "vendor"
PACKAGES = ROOT / "node_modules"
# Folder in VENDOR → package, and its files by the names they have here: the module that is meant, what it imports, and
# the licence. Browsers ask for `.js`.
VENDORED = {
    "noble-hashes": (
        "@noble/hashes",
        {"sha3.js": "sha3.js", "_u64.js": "_u64.js", "utils.js": "utils.js", "LICENSE": "LICENSE"},
    ),
    "lean-qr": ("lean-qr", {"index.js": "index.mjs", "LICENSE": "LICENSE"}),
}


def main() -> None:
    for folder, (package, files) in VENDORED.items():
        (VENDOR / folder).mkdir(parents=True, exist_ok=True)
        for name, published in files.items():
            shutil.copyfile(PACKAGES / package / published, VENDOR / folder / name)
            print(f"app/portal/static/vendor/{folder}/{name}")


if __name__ == "__main__":
    main()
