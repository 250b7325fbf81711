#!/usr/bin/env bash
# Puts NVRTC, NVIDIA's compiler as a library, into .nvrtc/, once, from the Python package registry
# (90 MB). Prints the path of that library. The version is the one that LibTorch 2.9.0 brings.
set -euo pipefail
readonly PACKAGE=nvidia-cuda-nvrtc-cu12==12.8.93
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
home=$root/.nvrtc
if [ "$(cat "$home/package" 2>/dev/null)" != "$PACKAGE" ]; then
  python=$(command -v python3) || {
    printf 'nvrtc: no python3 found (Debian: apt-get install python3 python3-pip)\n' >&2
    exit 1
  }
  rm -rf "$home"
  "$python" -m pip install --quiet --disable-pip-version-check --no-deps --target "$home" \
    --only-binary=:all: "$PACKAGE" >&2
  printf '%s\n' "$PACKAGE" >"$home/package"
fi
printf '%s\n' "$home/nvidia/cuda_nvrtc/lib/libnvrtc.so.12"
