#!/usr/bin/env bash
# Notices that LibTorch changed under its path: from CPU to CUDA, back, or to another version. What
# was compiled and linked for the former one is removed from cargo's target folder, and nothing
# else, so that the next build makes it anew: cargo itself looks at LIBTORCH's value alone, which
# stays the same.
#
#     scripts/flavour.sh            prints the flavour, as 2.9.0+cpu or 2.9.0+cuda
#     scripts/flavour.sh --notice   removes what is of another one, and notes this one
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
libtorch=${LIBTORCH:-$root/.libtorch/libtorch}
target=${CARGO_TARGET_DIR:-$root/target}

version() {
  if [ -f "$libtorch/build-version" ]; then
    cat "$libtorch/build-version"
  elif [ -f "$libtorch/version.py" ]; then
    sed -n "s/^__version__ *= *['\"]\(.*\)['\"].*/\1/p" "$libtorch/version.py"
  else
    echo unknown
  fi | head -n 1 | sed 's/+.*//'
}

kind=cpu
[ -e "$libtorch/lib/libtorch_cuda.so" ] && kind=cuda
flavour=$(version)+$kind

if [ "${1:-}" != --notice ]; then
  echo "$flavour"
  exit 0
fi
note=$target/libtorch-flavour
former=$(cat "$note" 2>/dev/null || true)
# A folder that something was built in, by a version that left no note, may hold either.
if [ -z "$former" ] && compgen -G "$target/*/build/torch-sys-*" >/dev/null; then
  former=unknown
fi
if [ -n "$former" ] && [ "$former" != "$flavour" ]; then
  echo "libtorch: was $former, is $flavour: what was built for the former one is built anew" >&2
  # All that has a build script that reads LibTorch's folder; cargo finds what depends on them.
  for package in torch-sys burn-tch earlybird; do
    for profile in dev release; do
      env -u LIBTORCH_USE_PYTORCH "${CARGO:-cargo}" clean --quiet --locked \
        --target-dir "$target" --profile "$profile" --package "$package"
    done
  done
fi
mkdir -p "$target"
echo "$flavour" >"$note"
