#!/bin/sh
# Build the environment of the other frameworks: their own packages in front of those of .venv.
#
# usage: peers.sh VENV PEERS
#
# A stamp named after the requirements and the Python is written last; a folder without it is built
# again, one with it is left alone.
set -eu

venv=$1
peers=$2
root=$(dirname "$0")
where='import sysconfig; print(sysconfig.get_path("purelib"))'
version=$("$venv/bin/python" -c 'import sys; print("%d.%d.%d" % sys.version_info[:3])')
sum=$(cksum < "$root/peers.txt")
stamp=$peers/.complete-$version-${sum%% *}

[ ! -f "$stamp" ] || exit 0
echo "[setup] $peers: other frameworks, to test against"
"$venv/bin/python" -m venv --clear "$peers"
"$peers/bin/python" -m pip --disable-pip-version-check -qq install --retries 4 --timeout 30 \
    --no-deps --require-hashes --requirement "$root/peers.txt"
"$venv/bin/python" -c "$where" > "$("$peers/bin/python" -c "$where")/shared.pth"
"$peers/bin/python" -W ignore -c 'import snntorch.export_nir, sinabs.nir
import spikingjelly.activation_based.nir_exchange' 2> "$peers/import.log" ||
    { tail -n 3 "$peers/import.log" >&2; exit 1; }
touch "$stamp"
