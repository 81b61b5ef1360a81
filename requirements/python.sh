#!/bin/sh
# Print the first Python 3.11 to 3.13 that runs and can make a virtual environment.
#
# usage: python.sh [CANDIDATE...]
#
# Every candidate is executed: a name on PATH may be a shim of a version that is not active. Without
# arguments: $PYTHON alone if set, else the usual names, then the versions that pyenv has installed.
set -u

if [ "$#" -eq 0 ] && [ -n "${PYTHON:-}" ]; then
    set -- "$PYTHON"
elif [ "$#" -eq 0 ]; then
    set -- python3 python3.11 python3.12 python3.13 \
        "${PYENV_ROOT:-$HOME/.pyenv}"/versions/3.1[1-3].*/bin/python
fi

probe='import sys
version = "%d.%d.%d" % sys.version_info[:3]
if not (3, 11) <= sys.version_info[:2] <= (3, 13):
    sys.exit("is Python " + version)
try:
    import ensurepip, venv
except ImportError:
    sys.exit("is Python " + version + " without venv (on Debian and Ubuntu: apt install python3-venv)")
print(sys.executable)'

found=""
for candidate in "$@"; do
    where=$(command -v "$candidate") || continue
    if answer=$("$candidate" -c "$probe" 2>&1); then
        printf '%s\n' "$answer"
        exit 0
    fi
    case $answer in
        "is Python "*) ;;
        *) answer="does not run: $(printf '%s\n' "$answer" | head -n 1)" ;;
    esac
    found="$found
  $where $answer"
done

{
    echo "neurozsl needs Python 3.11, 3.12 or 3.13. Found:${found:- no Python at all}"
    echo "Install one of them, or name one that you have: make setup PYTHON=/path/to/python3.12"
} >&2
exit 1
