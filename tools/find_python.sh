#!/bin/sh
# Prints the Python to build .venv with: PYTHON where it is set, else the first that has wheels for every locked package,
# else any that is new enough. Says what is needed where there is none.

try() {
  "$1" -c "import sys; sys.exit(not (3, 11) <= sys.version_info < $2)" 2>/dev/null
}

if [ -n "$PYTHON" ]; then
  set -- "$PYTHON"
else
  set -- python3 python3.13 python3.12 python3.11 python3.14 python3.15
fi
for below in '(3, 14)' '(4,)'; do
  for candidate in "$@"; do
    if try "$candidate" "$below"; then
      echo "$candidate"
      exit 0
    fi
  done
done
{
  echo "Consentry needs Python 3.11 or newer, and none of these is: $*"
  echo "Debian and Ubuntu: apt-get install python3 python3-venv. macOS: brew install python@3.13."
  echo "Somewhere else: make PYTHON=/path/to/python3"
} >&2
exit 1
