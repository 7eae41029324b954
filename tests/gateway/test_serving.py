"""How the server's process is begun."""

import os
import subprocess
import sys
from pathlib import Path

from app.gateway.serving import MALLOC_ENVIRONMENT

_SCRIPT = """
import os, sys
from app.gateway.serving import MALLOC_ENVIRONMENT, restart_with_malloc_settings
first = os.environ.get("FIRST")
if first is None:
    os.environ["FIRST"] = str(os.getpid())
restart_with_malloc_settings()
print(os.getpid() == int(os.environ["FIRST"]), [os.environ.get(name) for name in MALLOC_ENVIRONMENT], sys.argv[1:])
"""


def test_it_starts_itself_anew_with_the_allocators_settings_and_the_same_pid(tmp_path: Path) -> None:
    script = tmp_path / "begin.py"
    script.write_text(_SCRIPT)
    environment = {name: value for name, value in os.environ.items() if name not in MALLOC_ENVIRONMENT}
    environment |= {"PYTHONPATH": str(Path(__file__).parents[2]), "MALLOC_TOP_PAD_": "1"}
    ran = subprocess.run(
        [sys.executable, script, "--flag"], env=environment, capture_output=True, text=True, check=True
    )
    expected = {**MALLOC_ENVIRONMENT, "MALLOC_TOP_PAD_": "1"}
    on_linux = sys.platform.startswith("linux")
    values = [expected[name] if on_linux else environment.get(name) for name in MALLOC_ENVIRONMENT]
    assert ran.stdout.strip() == f"True {values} ['--flag']"
