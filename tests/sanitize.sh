#!/bin/sh
# Builds the core with AddressSanitizer and UndefinedBehaviorSanitizer and runs its tests.
#
#   tests/sanitize.sh [pytest arguments]
#
# PYTHON names the interpreter whose packages (NumPy, pytest, Cython, meson) are used; the editable
# install of the project in it is left alone, and cannot win: site-packages come by PYTHONPATH, so
# that no .pth file of theirs runs.  Fails where a test fails and where a sanitizer reports.
set -eu

root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
python=${PYTHON:-$root/.venv/bin/python}
build=${SANITIZE_BUILD:-$root/build/sanitized}
installed=$build/installed

# meson finds cython, and ninja, beside the interpreter.
PATH=$(dirname -- "$python"):$PATH
export PATH
packages=$("$python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')

if [ ! -f "$build/build.ninja" ]; then
    meson setup "$build" "$root" --prefix "$installed" \
        -Dpython.purelibdir="$installed" -Dpython.platlibdir="$installed" \
        -Dbuildtype=debugoptimized -Db_sanitize=address,undefined -Db_lundef=false >/dev/null
fi
meson compile -C "$build" >/dev/null
meson install -C "$build" --quiet

# The interpreter is not built for the sanitizers, so their libraries come first; libstdc++ too,
# for they look for its exceptions when they start.
preload=
for library in libasan.so libubsan.so libstdc++.so; do
    preload="$preload $(gcc -print-file-name=$library)"
done

cd "$root"
export LD_PRELOAD="${preload# }"
export PYTHONPATH="$installed:$packages" PYTHONMALLOC=malloc PYTHONDONTWRITEBYTECODE=1
export ASAN_OPTIONS=detect_leaks=0:abort_on_error=1:halt_on_error=1
export UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1
export SENTINEL_PROPERTY_SCALE="${SENTINEL_PROPERTY_SCALE:-0.05}"
export SENTINEL_FUZZ_OTLP="${SENTINEL_FUZZ_OTLP:-10000}"
export OPENBLAS_NUM_THREADS=1

"$python" -S -c "
import sentinel._core.bank as bank
assert bank.__file__.startswith('$installed'), bank.__file__
maps = open('/proc/self/maps').read()
assert 'libasan' in maps and 'libubsan' in maps"
# --capture=sys: a report is written to the file descriptor, and must reach the terminal.
exec "$python" -S -m pytest -p no:cacheprovider -p no:benchmark --capture=sys tests/unit/core \
    tests/property/test_core.py tests/property/test_stability.py tests/property/test_partition.py \
    tests/property/test_recent.py tests/property/test_records.py tests/property/test_novelty.py \
    tests/property/test_evidence.py tests/property/test_evidence_cuts.py \
    tests/property/test_subject_records.py tests/property/test_otlp.py \
    tests/unit/intake/test_keep.py tests/unit/intake/test_prices.py "$@"
