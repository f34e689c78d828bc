#!/bin/sh
# Checks every GPU path of gpu_service against the CPU, then measures it; in under 8 minutes, without a network.
#
#   benchmarks/gpu/run.sh [--seconds 450] [--output FOLDER]
#   benchmarks/gpu/run.sh --device cpu --quick     # tiny models, about a minute: checks this script itself
#
# Runs with $PYTHON, .venv or python3: the first whose PyTorch has CUDA, or else the first that exists.
cd "$(dirname "$0")/../.." || exit 2

chosen=
for python in ${PYTHON:-.venv/bin/python python3}; do
    command -v "$python" >/dev/null || continue
    [ -n "$chosen" ] || chosen=$python
    if "$python" -c 'import sys, torch; sys.exit(not torch.backends.cuda.is_built())' 2>/dev/null; then
        chosen=$python
        break
    fi
done
if [ -z "$chosen" ]; then
    echo "There is no Python: run 'make setup', or set PYTHON." >&2
    exit 2
fi
exec "$chosen" -m benchmarks.gpu.run "$@"
