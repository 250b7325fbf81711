#!/usr/bin/env bash
# Puts LibTorch 2.9.0 at .libtorch/libtorch, once, from the first of:
#   1. $LIBTORCH, where it is set: nothing to do, the build uses it as it is
#   2. a Python whose torch is 2.9, 2.10 or 2.11 (`python3 -c 'import torch'`): a link to it; on GPU
#      servers this brings CUDA. LIBTORCH_USE_PYTORCH=1 insists on this one, LIBTORCH_USE_PYTORCH=0
#      skips it
#   3. the Python package registry, by pip: the CPU part of the wheel (490 MB), or, where an NVIDIA
#      driver is present, all of it in a virtual environment under .libtorch/ (about 6 GB unpacked).
#      EARLYBIRD_LIBTORCH=cpu|cuda chooses by hand, and replaces the other one
#
# EARLYBIRD_LIBTORCH_VERSION=2.11.0 puts the CPU part of that version at .libtorch/2.11.0, beside
# the usual one: `make test-libtorch` tests with it.
#
# Safe to run twice (the second time it does nothing) and to interrupt: everything is made under
# .libtorch/tmp.* and gets its final name in one rename, as the last step.
set -euo pipefail

readonly VERSION=${EARLYBIRD_LIBTORCH_VERSION:-2.9.0}
# The packages of two CUDA libraries that libtorch_cpu.so of the wheel asks for.
case $VERSION in
2.9.* | 2.10.*) CUDA_PACKAGES="nvidia-cuda-runtime-cu12==12.8.90 nvidia-cuda-cupti-cu12==12.8.90" ;;
*) CUDA_PACKAGES="nvidia-cuda-runtime==13.0.96 nvidia-cuda-cupti==13.0.85" ;;
esac
readonly CUDA_PACKAGES
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P) # as make names its folder
home=$root/.libtorch
goal=$home/libtorch
if [ -n "${EARLYBIRD_LIBTORCH_VERSION:-}" ]; then
  goal=$home/$VERSION
  EARLYBIRD_LIBTORCH=cpu
  LIBTORCH_USE_PYTORCH=0
fi

say() { printf 'libtorch: %s\n' "$*" >&2; }
fail() {
  printf '\nlibtorch: %s\n' "$1" >&2
  shift
  printf '%s\n' "$@" | sed 's/^/  /' >&2
  exit 1
}
other_ways() {
  printf '%s\n' \
    "Other ways: set LIBTORCH to an unpacked LibTorch $VERSION (a folder with include/ and lib/)," \
    "or install torch==$VERSION into the python3 on your PATH; then call make again."
}

# The folder is whole when it has headers and the core library.
is_whole() {
  [ -f "$1/include/ATen/ATen.h" ] || return 1
  [ -e "$1/lib/libtorch_cpu.so" ] || [ -e "$1/lib/libtorch_cpu.dylib" ]
}
# Versions that the C++ compiles against and the tests pass with.
is_known() {
  [[ "$1" =~ ^2\.(9|10|11)(\.|$) ]]
}
# Whether there is an NVIDIA driver. Containers often have it without nvidia-smi.
has_driver() {
  local there
  for there in /dev/nvidiactl /dev/dxg /proc/driver/nvidia/version \
    /usr/lib/x86_64-linux-gnu/libcuda.so.1 /usr/lib64/libcuda.so.1 /usr/lib/libcuda.so.1 \
    /usr/lib/wsl/lib/libcuda.so.1; do
    [ -e "$there" ] && return 0
  done
  return 1
}

if [ -n "${LIBTORCH:-}" ] && [ "$LIBTORCH" != "$goal" ]; then
  is_whole "$LIBTORCH" || fail \
    "LIBTORCH=$LIBTORCH holds no LibTorch (no include/ATen/ATen.h or no lib/libtorch_cpu.so)" \
    "Point it at an unpacked LibTorch $VERSION, or unset it and let this script provide one."
  flavour=$(LIBTORCH=$LIBTORCH "$root/scripts/flavour.sh")
  case $flavour in
  2.9.* | unknown*) ;;
  *) is_known "$flavour" || fail "LIBTORCH=$LIBTORCH is $flavour; 2.9 to 2.11 are known to work" \
      "Point it at one of these, or unset it and let this script provide one." \
      "LIBTORCH_BYPASS_VERSION_CHECK=1 cargo build tries it all the same."
    say "LIBTORCH is $flavour; this program is made for 2.9.0: see earlybird doctor" ;;
  esac
  exit 0
fi
case ${EARLYBIRD_LIBTORCH:=} in
'' | cpu | cuda) ;;
*) fail "EARLYBIRD_LIBTORCH=$EARLYBIRD_LIBTORCH: cpu or cuda is expected" \
    "Unset it: then what fits this machine is taken." ;;
esac
# Whether the folder is of the flavour that was asked for by hand, if one was.
has_flavour() {
  [ -z "$EARLYBIRD_LIBTORCH" ] || [ "$(uname -sm)" != "Linux x86_64" ] ||
    [[ "$(LIBTORCH=$1 "$root/scripts/flavour.sh")" == *+$EARLYBIRD_LIBTORCH ]]
}
is_whole "$goal" && has_flavour "$goal" && exit 0

mkdir -p "$home"
# One at a time: the lock goes with the process, whatever ends it.
if command -v flock >/dev/null 2>&1; then
  exec 9>"$home/lock"
  flock -n 9 || { say "another call is at work in .libtorch/, waiting for it"; flock 9; }
  is_whole "$goal" && has_flavour "$goal" && exit 0
fi
rm -rf "$home"/tmp.*
tmp=$(mktemp -d "$home/tmp.XXXXXX")
# Whatever ends the call, what was there until now stays or has its successor.
trap '[ -e "$goal" ] || [ ! -e "$tmp/former" ] || mv "$tmp/former" "$goal"; rm -rf "$tmp"' EXIT
trap 'say "interrupted; nothing half-done is kept, call make again"; exit 130' INT TERM HUP

python=$(command -v python3 || command -v python || true)
[ -n "$python" ] || fail "no python3 found: it is needed to fetch LibTorch" \
  "Install it (Debian: apt-get install python3 python3-pip)." "$(other_ways)"

# Puts what was made in the place of what was there until now.
take() {
  [ ! -e "$goal" ] || mv "$goal" "$tmp/former"
  rm -f "$goal" # a link to what is no more
  mv "$1" "$goal"
}

# 2. A Python that has torch already
if [ "${LIBTORCH_USE_PYTORCH:-}" != 0 ]; then
  found=$("$python" - <<'PY' 2>/dev/null || true
import torch
print(torch.__version__.split('+')[0], torch.__path__[0])
PY
)
  have=${found%% *}
  folder=${found#* }
  if [ -n "$have" ] && ! has_flavour "$folder"; then
    say "torch $have of $python is not the $EARLYBIRD_LIBTORCH build that was asked for"
    have=
  fi
  if is_known "$have" ||
    { [ -n "$have" ] && [ -n "${LIBTORCH_BYPASS_VERSION_CHECK:-}" ]; }; then
    [[ "$have" == 2.9.* ]] || say "torch $have: this program is made for 2.9.0"
    is_whole "$folder" || fail \
      "torch $have in $folder has no headers or libraries to build against" \
      "Set LIBTORCH_USE_PYTORCH=0 to have them fetched instead."
    say "using torch $have of $python ($folder)"
    ln -s "$folder" "$tmp/link"
    take "$tmp/link"
    exit 0
  fi
  if [ "${LIBTORCH_USE_PYTORCH:-}" = 1 ]; then
    has="${have:+torch }${have:-no torch}"
    fail "LIBTORCH_USE_PYTORCH=1, but $python has $has; 2.9, 2.10 or 2.11 is needed" \
      "Activate the environment with torch $VERSION," \
      "or unset LIBTORCH_USE_PYTORCH to have LibTorch fetched."
  fi
fi

# 3. The package registry
"$python" -m pip --version >/dev/null 2>&1 ||
  fail "$python has no pip: it is needed to fetch LibTorch" \
    "Install it (Debian: apt-get install python3-pip python3-venv; others: $python -m ensurepip)." \
    "$(other_ways)"

flavour=${EARLYBIRD_LIBTORCH:-}
if [ -z "$flavour" ]; then
  flavour=cpu
  if has_driver; then flavour=cuda; fi
fi
case "$(uname -s)-$(uname -m)" in
  Linux-x86_64) ;;
  *) [ "$flavour" = cpu ] && flavour=whole ;; # other wheels carry no CUDA: taken whole
esac

need_space() { # GB
  local free
  free=$("$python" -c \
    'import shutil,sys; print(shutil.disk_usage(sys.argv[1]).free // 10**9)' "$home")
  [ "$free" -ge "$1" ] || fail "$1 GB of free space are needed under $home, there are $free GB" \
    "Free some, or put .libtorch elsewhere: mkdir /big/libtorch && ln -s /big/libtorch $home"
}
pip_failed() {
  fail "pip could not get $1 (its message is above)" \
    "No network? PIP_PROXY and PIP_INDEX_URL give pip a proxy or a mirror." \
    "No space? $(df -h "$home" | awk 'NR==2{print $4}') are free here." "$(other_ways)"
}

case $flavour in
cpu)
  need_space 2
  say "fetching torch $VERSION from the Python package registry (900 MB; 490 MB of it are kept)"
  "$python" -m pip download --no-deps --only-binary=:all: --python-version 3.11 \
    --platform manylinux_2_28_x86_64 --no-cache-dir --dest "$tmp/wheels" "torch==$VERSION" >&2 ||
    pip_failed "torch $VERSION"
  "$python" -m pip download --no-deps --only-binary=:all: --platform manylinux2014_x86_64 \
    --no-cache-dir --dest "$tmp/wheels" $CUDA_PACKAGES >&2 || pip_failed "the CUDA runtime stubs"
  say "unpacking"
  "$python" - "$tmp/wheels" "$tmp/new" <<'PY' || fail "unpacking failed (its message is above)" \
    "No space? See df -h $home; then call make again."
import glob, os, shutil, sys, zipfile
wheels, goal = sys.argv[1:]
KEEP = {"libtorch_cpu.so", "libc10.so", "libgomp.so.1", "libtorch_global_deps.so"}
CUDA = {"libcudart.so", "libcupti.so"}
for wheel in glob.glob(os.path.join(wheels, "*.whl")):
    with zipfile.ZipFile(wheel) as z:
        for name in z.namelist():
            base = os.path.basename(name)
            if name.startswith("torch/include/") and base:
                to = os.path.join(goal, os.path.relpath(name, "torch"))
            elif base in KEEP and name.startswith("torch/lib/") or (
                    name.startswith("nvidia/") and base.rsplit(".", 1)[0] in CUDA):
                to = os.path.join(goal, "lib", base)
            else:
                continue
            os.makedirs(os.path.dirname(to), exist_ok=True)
            with z.open(name) as a, open(to, "wb") as b:
                shutil.copyfileobj(a, b, 1 << 20)
have = os.listdir(os.path.join(goal, "lib"))
missing = (KEEP | CUDA) - set(have) - {name.rsplit(".", 1)[0] for name in have}
if missing:
    sys.exit(f"the wheels lack {sorted(missing)}")
PY
  # The wheel's own libtorch.so needs libtorch_cuda.so. An empty one, linked to the CPU library,
  # takes its place.
  "${CC:-cc}" -shared -o "$tmp/new/lib/libtorch.so" -Wl,--no-as-needed -L"$tmp/new/lib" \
    -ltorch_cpu -lc10 ||
    fail "the C compiler (${CC:-cc}) could not link libtorch.so" \
      "A C and C++ compiler is needed (Debian: apt-get install g++)."
  echo "$VERSION+cpu" >"$tmp/new/build-version"
  take "$tmp/new"
  ;;
cuda | whole)
  if [ "$flavour" = cuda ]; then
    need_space 12
    say "an NVIDIA driver is present: fetching torch $VERSION with CUDA (about 3 GB)"
  else
    need_space 2
    say "fetching torch $VERSION for $(uname -sm)"
  fi
  "$python" -m venv "$tmp/venv" || fail "$python cannot make a virtual environment" \
    "Debian: apt-get install python3-venv" "$(other_ways)"
  "$tmp/venv/bin/python" -m pip install "torch==$VERSION" >&2 || pip_failed "torch $VERSION"
  if [ "$flavour" = cuda ]; then # headers of CUDA's for the graphs
    "$tmp/venv/bin/python" -m pip install --no-deps nvidia-cuda-nvcc-cu12==12.8.93 >&2 ||
      say "no headers of CUDA's: the program will have no CUDA graphs"
  fi
  folder=$("$tmp/venv/bin/python" -c 'import torch; print(torch.__path__[0])')
  rm -rf "$home/venv"
  mv "$tmp/venv" "$home/venv"
  ln -s "$home/venv${folder#"$tmp/venv"}" "$tmp/link"
  take "$tmp/link"
  ;;
*) fail "EARLYBIRD_LIBTORCH=$flavour: cpu or cuda is expected" ;;
esac
is_whole "$goal" || fail "what was fetched is not whole: $goal" \
  "Remove .libtorch/ and call make again."
say "ready: $goal"
