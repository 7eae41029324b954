"""Copies what browsers need from the locked npm packages: ``python -m tools.vendored`` (``make vendored``).

There is no build step and no CDN, so the few files are kept here as they were published, with their licence; a test
holds them to the package.
"""

import shutil
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
HASHES = ROOT / "app" / "portal" / "static" / "vendor" / "noble-hashes"
PACKAGE = ROOT / "node_modules" / "@noble" / "hashes"
# keccak-256, and what that imports
FILES = ("sha3.js", "_u64.js", "utils.js", "LICENSE")


def main() -> None:
    HASHES.mkdir(parents=True, exist_ok=True)
    for name in FILES:
        shutil.copyfile(PACKAGE / name, HASHES / name)
        print(f"app/portal/static/vendor/noble-hashes/{name}")


if __name__ == "__main__":
    main()
