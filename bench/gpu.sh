#!/usr/bin/env bash
# Measures, or trains, on a GPU machine without network, from a folder of wheels and the data beside it:
#
#   bench/gpu.sh --wheels DIR --data DIR --minutes 9 --part peak|check|grid|challenge|dropout --out DIR [--options "..."]
#
# --wheels  what `bench/gpu-wheels.txt` lists; installed into a folder of its own that is removed at the end, never into the system
# --data    train-0.npz, train-1.npz, test.npz of the prepared benchmark
# --minutes after which everything has ended
# --part    what is done; see bench/gpu.py
# --out     results.json, results.md and log.txt, or the packed runs; called again with the same folder it goes on,
#           also after a call that was killed
#
# PYTHON names the Python that holds JAX, python3 by default. Settings of the GPU are read and never changed.
set -euo pipefail

usage() { sed -n '2,13s/^# \{0,1\}//p' "$0" >&2; exit 2; }

wheels='' given=()
while [ $# -gt 0 ]; do
    case "$1" in
        --wheels) [ $# -gt 1 ] || usage; wheels=$2; shift 2 ;;
        --wheels=*) wheels=${1#*=}; shift ;;
        -h|--help) usage ;;
        *) given+=("$1"); shift ;;
    esac
done
[ -n "$wheels" ] || { echo 'error: --wheels DIR: the folder of wheels' >&2; usage; }
ls "$wheels"/*.whl >/dev/null 2>&1 || { echo "error: --wheels: there is no wheel in $wheels" >&2; exit 2; }

python=${PYTHON:-python3}
root=$(cd "$(dirname "$0")/.." && pwd)
site=$(mktemp -d)
trap 'rm -rf "$site"' EXIT
"$python" -m pip install --quiet --disable-pip-version-check --no-index --no-deps --no-compile --no-cache-dir \
    --find-links "$wheels" --target "$site/packages" --requirement "$root/bench/gpu-wheels.txt"

export PYTHONPATH="$root:$site/packages${PYTHONPATH:+:$PYTHONPATH}"
export PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 KERAS_BACKEND=jax TF_CPP_MIN_LOG_LEVEL=2
# What is compiled by one process another one finds; gone with the folder.
export JAX_COMPILATION_CACHE_DIR="${JAX_COMPILATION_CACHE_DIR:-$site/compiled}" HOME="${HOME:-$site}" XDG_CACHE_HOME="${XDG_CACHE_HOME:-$site/cache}"
cd "$root"
# Asked to end, it passes that on and waits until what was done so far is written.
"$python" -m bench.gpu "${given[@]}" &
child=$!
trap 'kill -TERM "$child" 2>/dev/null || true' TERM INT HUP
code=0
wait "$child" || code=$?
while kill -0 "$child" 2>/dev/null; do code=0; wait "$child" || code=$?; done
exit "$code"
