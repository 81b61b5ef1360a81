#!/bin/sh
# Install torch into a virtual environment after its file was compared with the digests in torch.txt.
#
# usage: torch.sh VENV
#
# pip's own hash mode would pass over a CPU build, or any other that this machine's pip is set to, and
# take the large one of the package index, whose digest it knows. So pip chooses as it always does, and
# what it chose is checked. What torch then asks for beside lock.txt, its GPU libraries, it pins itself.
# TORCH_CHECK=no takes a build that torch.txt does not list.
set -eu

python=$1/bin/python
list=$(dirname "$0")/torch.txt
pin=$(sed -n 's/^\(torch==[^ ]*\).*/\1/p' "$list")
pip="$python -m pip --disable-pip-version-check -qq"

installed='import importlib.metadata as m, sys
try: sys.exit(m.version("torch").split("+")[0] != sys.argv[1])
except m.PackageNotFoundError: sys.exit(1)'
if "$python" -c "$installed" "${pin#torch==}"; then
    $pip install "$pin" # what it asks for
    exit
fi
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
trap 'exit 1' HUP INT TERM
$pip download --no-deps --only-binary :all: --dest "$folder" "$pin"
file=$(echo "$folder"/torch-*.whl)
digest=$("$python" -c 'import hashlib, sys
print(hashlib.file_digest(open(sys.argv[1], "rb"), "sha256").hexdigest())' "$file")
if [ "${TORCH_CHECK:-yes}" != no ] && ! grep -q "sha256:$digest" "$list"; then
    echo "$(basename "$file"): sha256 $digest is not in $list; use a build that is, or, for one" >&2
    echo "that you trust, run again with TORCH_CHECK=no" >&2
    exit 1
fi
$pip install "$file"
