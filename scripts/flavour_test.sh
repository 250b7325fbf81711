#!/usr/bin/env bash
# Shows that a build notices another flavour of LibTorch under the same path: builds for the CPU,
# puts the CUDA build of the same version there, builds again, and back. Fetches the CUDA wheel
# (900 MB) and builds beside the usual target folder: three builds, half an hour on two cores.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$root"
unset LIBTORCH
# The CPU build, whatever this machine trains with.
EARLYBIRD_LIBTORCH_VERSION=2.9.0 ./scripts/libtorch.sh
cpu=$root/.libtorch/2.9.0
home=$root/.libtorch/flip
mkdir -p "$home"

if [ ! -e "$home/site/torch/lib/libtorch_cuda.so" ]; then
  python3 -m pip download --quiet --no-deps --only-binary=:all: --python-version 3.11 \
    --platform manylinux_2_28_x86_64 --platform manylinux2014_x86_64 --no-cache-dir \
    --dest "$home/wheels" torch==2.9.0 nvidia-cuda-runtime-cu12==12.8.90 \
    nvidia-cuda-nvcc-cu12==12.8.93
  rm -rf "$home/new"
  for wheel in "$home"/wheels/*.whl; do python3 -m zipfile -e "$wheel" "$home/new"; done
  rm -rf "$home/wheels" "$home/site"
  mv "$home/new" "$home/site"
fi

export LIBTORCH=$home/libtorch CARGO_TARGET_DIR=${FLIP_TARGET:-$root/target/flip}
# Builds with what is at LIBTORCH after it became a link to $1, and looks for $2 libtorch_cuda.so.
build() {
  ln -sfn "$1" "$LIBTORCH"
  ./scripts/flavour.sh --notice
  env -u LIBTORCH_USE_PYTORCH cargo build --locked 2>&1 |
    grep -E '^ *(Compiling|Finished|error|warning)' | tee "$home/built"
  local linked=without
  readelf -d "$CARGO_TARGET_DIR/debug/earlybird" | grep NEEDED | grep torch
  if readelf -d "$CARGO_TARGET_DIR/debug/earlybird" | grep -q libtorch_cuda.so; then linked=with; fi
  if [ "$linked" != "$2" ]; then
    echo "flavour: $(./scripts/flavour.sh) was built $linked libtorch_cuda.so" >&2
    exit 1
  fi
  echo "flavour: $(./scripts/flavour.sh) is built $2 libtorch_cuda.so," \
    "$(grep -c Compiling "$home/built" || true) crates compiled"
}
build "$cpu" without
build "$cpu" without # nothing to do
build "$home/site/torch" with
build "$cpu" without
