#!/usr/bin/env bash
# Makes a Python with the peers of tests/peers/requirements.txt (PyTorch, TensorBoard), once, in a
# virtual environment of the project's own under .peers/. Prints the path of that Python.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
wanted=$root/tests/peers/requirements.txt
home=$root/.peers
if ! cmp -s "$wanted" "$home/requirements.txt"; then
  printf 'peers: installing PyTorch and TensorBoard into .peers/ (%s)\n' \
    'about 7 GB unpacked with the CUDA parts of the wheel' >&2
  python=$(command -v python3) || {
    printf 'peers: no python3 found (Debian: apt-get install python3 python3-venv)\n' >&2
    exit 1
  }
  "$python" -m venv "$home"
  "$home/bin/pip" install --quiet --disable-pip-version-check -r "$wanted" >&2
  cp "$wanted" "$home/requirements.txt"
fi
printf '%s\n' "$home/bin/python"
