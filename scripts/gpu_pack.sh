#!/usr/bin/env bash
# Packs what scripts/gpu_check.sh needs on a GPU machine that has PyTorch but neither cargo nor a
# network: the program and the unit tests, built against the torch of that machine and stripped, the
# peers and the configs. Writes gpu-pack/ and gpu-pack.tar.gz (at most 64 MiB).
#
#   scripts/gpu_pack.sh                 for torch 2.11.0 with CUDA 13.0 (Python 3.12)
#   TORCH=2.9.0 scripts/gpu_pack.sh     for another version
#
# The first call fetches torch's wheel (about 550 MB) and builds everything (about 15 minutes on two
# cores) in folders of its own, target/gpu and .libtorch/gpu: the usual build stays as it is.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$root"
torch=${TORCH:-2.11.0}
python_version=${PYTHON_VERSION:-3.12}
home=$root/.libtorch/gpu
goal=$root/gpu-pack

# torch itself, without what it depends on, and CUDA's headers: enough to build and link against.
case $torch in
2.9.* | 2.10.*) headers="nvidia-cuda-runtime-cu12==12.8.90 nvidia-cuda-nvcc-cu12==12.8.93" ;;
*) headers="nvidia-cuda-runtime==13.0.96 nvidia-cuda-crt==13.0.88" ;;
esac
if [ "$(cat "$home/version" 2>/dev/null)" != "$torch" ]; then
  rm -rf "$home"
  mkdir -p "$home"
  python3 -m pip download --quiet --no-deps --only-binary=:all: --no-cache-dir \
    --python-version "$python_version" --platform manylinux_2_28_x86_64 \
    --dest "$home/wheel" "torch==$torch" >&2
  # shellcheck disable=SC2086 # two words
  python3 -m pip download --quiet --no-deps --only-binary=:all: --no-cache-dir \
    --platform manylinux2014_x86_64 --dest "$home/wheel" $headers >&2
  for wheel in "$home"/wheel/*.whl; do python3 -m zipfile -e "$wheel" "$home/unpacked"; done
  rm -rf "$home/wheel"
  printf '%s\n' "$torch" >"$home/version"
fi

export LIBTORCH=$home/unpacked/torch LIBTORCH_BYPASS_VERSION_CHECK=1
export CARGO_TARGET_DIR=$root/target/gpu
# NVIDIA's libraries are on the GPU machine only: the linker may not ask for theirs.
export RUSTFLAGS="${RUSTFLAGS:-} -Clink-arg=-Wl,--allow-shlib-undefined"
cargo build --locked
tests=$(cargo test --locked --lib --no-run --message-format=json |
  python3 -c '
import json, sys
found = [json.loads(line) for line in sys.stdin if line.startswith("{")]
print([a["executable"] for a in found if a.get("executable") and a["profile"]["test"]][-1])')

rm -rf "$goal" "$goal.tar.gz"
mkdir -p "$goal/scripts" "$goal/tests/peers"
strip -o "$goal/earlybird" "$CARGO_TARGET_DIR/debug/earlybird"
strip -o "$goal/unit-tests" "$tests"
cp scripts/gpu_check.sh scripts/gpu_report.py "$goal/scripts/"
cp tests/peers/*.py "$goal/tests/peers/"
cp -r configs "$goal/"
printf 'earlybird %s, for torch %s\n' "$(git describe --always --dirty)" "$torch" >"$goal/built"
for binary in earlybird unit-tests; do
  readelf -d "$goal/$binary" | grep -q 'NEEDED.*libtorch_cuda' || {
    printf 'gpu_pack: %s is not linked with libtorch_cuda.so\n' "$binary" >&2
    exit 1
  }
done
tar -czf "$goal.tar.gz" -C "$root" gpu-pack
size=$(du -m "$goal.tar.gz" | cut -f1)
[ "$size" -le 64 ] || {
  printf 'gpu_pack: gpu-pack.tar.gz has %s MiB, more than 64\n' "$size" >&2
  exit 1
}
printf 'gpu_pack: gpu-pack.tar.gz (%s MiB); there: tar -xzf it, then cd gpu-pack && %s\n' "$size" \
  scripts/gpu_check.sh >&2
