#!/usr/bin/env bash
# Shows that earlybird does on a GPU what its tests show on the CPU, and how fast: in less than nine
# minutes, on a machine with nothing but PyTorch. Writes one report in Markdown.
#
#   scripts/gpu_check.sh [--device cuda:0] [--quick] [--to gpu-check]
#
# In the folder that scripts/gpu_pack.sh packs it runs what was packed, with the libraries of the
# torch that PYTHON (python3) has; in the project it runs target/debug/earlybird and the unit tests
# that EARLYBIRD_UNIT_TESTS names. --quick: everything small. --device cpu: on the CPU, by the
# device's path, where that says something; the report tells what stays open then.
#
# Each section has a time limit and leaves NAME.txt and NAME.ended in the folder --to; called again,
# the script goes on with those that have not ended. GPU_CHECK_SECONDS (530) is the limit of a call.
set -uo pipefail
self=$(readlink -f "${BASH_SOURCE[0]}")
root=$(dirname "$(dirname "$self")")
cd "$root" || exit 1
device=cuda:0 quick=no out=gpu-check only=
while [ $# -gt 0 ]; do
  case $1 in
  --device) device=$2 && shift ;;
  --quick) quick=yes ;;
  --to) out=$2 && shift ;;
  --section) only=$2 && shift ;; # the script's own: one section, here
  *) sed -n '2,/^set /s/^# \{0,1\}//p' "$self" | sed '$d' && exit 2 ;;
  esac
  shift
done
mkdir -p "$out" && out=$(readlink -f "$out") || exit 1
budget=${GPU_CHECK_SECONDS:-530}

if [ -x "$root/earlybird" ]; then # packed
  earlybird=$root/earlybird unit_tests=$root/unit-tests python=${PYTHON:-python3}
  lib=$("$python" -c 'import torch; print(torch.__path__[0])')/lib || exit 1
  export LD_LIBRARY_PATH=$lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
else
  earlybird=$root/target/debug/earlybird unit_tests=${EARLYBIRD_UNIT_TESTS:-}
  python=${PYTHON:-$root/.peers/bin/python}
fi
export EARLYBIRD_PEERS=$python XDG_CACHE_HOME=$out/cache TORCHINDUCTOR_CACHE_DIR=$out/inductor
[ "$device" != cpu ] || export EARLYBIRD_DEVICE_PATH=1 OMP_WAIT_POLICY=passive
small=()
[ "$quick" = no ] || small=(--set train.epochs=3 --set data.train_limit=600)

# ---- What sections use ----

say() { printf '%s\n' "$*"; }

# train FOLDER ARGUMENT...: the demo in a folder of its own, its last lines.
train() {
  local folder=$out/$1
  shift
  rm -rf "$folder"
  "$earlybird" train configs/demo.toml --headless --device "$device" --runs-dir "$folder" \
    "${small[@]}" "$@" 2>&1 | tail -3
  return "${PIPESTATUS[0]}"
}

# ended FOLDER: parameter hash and test accuracy at the end of the run in it.
ended() {
  "$python" - "$out/$1" <<'PY'
import glob, json, sys
lines = [json.loads(l) for f in glob.glob(sys.argv[1] + "/*/journal.jsonl") for l in open(f)]
accuracy = [e["test_accuracy"] for e in lines if e["event"] == "epoch_end"][-1]
print([e["parameters_sha256"] for e in lines if e["event"] == "finished"][-1][:16], accuracy)
PY
}

# bench MODEL BATCH PRECISION: one round of us and of eager PyTorch, as JSON.
bench() {
  local sizes=(--model "$1" --batch "$2" --shape 3,32,32)
  [ "$quick" = no ] || sizes=(--model "$1" --batch "$(($2 / 16))" --steps 2 --samples 200)
  [ "$3" = tf32 ] || sizes+=(--bf16)
  "$earlybird" bench step --against-pytorch --eager --rounds 1 --json --augment \
    --device "$device" "${sizes[@]}"
}

# compiled MODEL BATCH PRECISION: PyTorch's compiled forms of the same.
compiled() {
  [ "$device" != cpu ] || { say "compared on CUDA devices only" && return 3; }
  local mode sizes=(--model "$1" --shape 3,32,32 --device "$device" --lean --augment)
  [ "$3" = tf32 ] || sizes+=(--dtype bf16)
  if [ "$quick" = yes ]; then
    sizes+=(--batch "$(($2 / 16))" --steps 2 --warmup 2 --samples 200)
  else
    sizes+=(--batch "$2" --steps 300 --warmup 50)
    sizes+=(--samples "$((350 * $2 < 200000 ? 350 * $2 : 200000))")
  fi
  for mode in reduce-overhead default; do
    "$python" tests/peers/step.py "${sizes[@]}" --compile "$mode" || return
  done
}

# ---- Sections ----

section_versions() {
  cat built 2>/dev/null || git describe --always --dirty
  uname -sr
  nvidia-smi --query-gpu=name,driver_version,memory.total,compute_cap --format=csv 2>&1 | head -5
  "$python" - <<'PY'
import torch, sys
print("python", sys.version.split()[0], "torch", torch.__version__, "CUDA", torch.version.cuda,
      "cuDNN", torch.backends.cudnn.version() if torch.cuda.is_available() else None)
PY
  ldd "$earlybird" | grep -E 'torch|c10|cuda|cudnn|nvrtc|not found' | sed 's/ (0x.*//'
  ! ldd "$earlybird" | grep -q 'not found'
}

section_doctor() {
  "$earlybird" doctor | tee "$out/doctor.lines"
  # Without kernels of ours the sections that follow would pass, by ordinary operations.
  [ "$device" = cpu ] || grep -q '^ok  *kernels' "$out/doctor.lines"
}

kernel_tests() {
  [ -n "$unit_tests" ] || { say "EARLYBIRD_UNIT_TESTS names no binary of them" && return 3; }
  EARLYBIRD_TEST_DEVICE=$device "$unit_tests" model:: train:: 2>&1 |
    grep -vE '\.\.\. ok$' | tail -60
  return "${PIPESTATUS[0]}"
}
section_kernels_fp32() { kernel_tests; }
section_kernels_tf32() { EARLYBIRD_TEST_TF32=1 kernel_tests; }

section_same_hash() {
  local first second
  train same-1 --seed 1 && train same-2 --seed 1 || return
  first=$(ended same-1) second=$(ended same-2)
  say "first run  $first" && say "second run $second"
  [ -n "$first" ] && [ "$first" = "$second" ]
}

section_kill_and_resume() {
  local pid run whole folder=$out/killed
  [ -d "$out/same-1" ] || train same-1 --seed 1 || return
  rm -rf "$folder"
  "$earlybird" train configs/demo.toml --headless --device "$device" --runs-dir "$folder" \
    --seed 1 "${small[@]}" >/dev/null 2>&1 &
  pid=$!
  # As soon as the second epoch has ended: there is a checkpoint of the first.
  until [ "$(cat "$folder"/*/journal.jsonl 2>/dev/null | grep -c '"epoch_end"')" -ge 2 ]; do
    kill -0 $pid 2>/dev/null || { say "the run ended before it was killed" && return 1; }
    sleep 0.05
  done
  kill -9 $pid && wait $pid 2>/dev/null
  run=$(basename "$folder"/*)
  "$earlybird" resume "$run" --headless --device "$device" --runs-dir "$folder" 2>&1 | tail -3
  whole=$(ended same-1) run=$(ended killed)
  say "whole  $whole" && say "killed $run"
  [ -n "$run" ] && [ "$whole" = "$run" ]
}

section_accuracy() {
  local seed
  for seed in 1 2 3; do
    [ -d "$out/accuracy-$seed" ] || train "accuracy-$seed" --seed "$seed" >/dev/null || return
    ended "accuracy-$seed"
  done | tee "$out/accuracy.lines"
  [ "$quick" = no ] || { say "too small to compare (--quick)" && return 3; }
  "$python" scripts/gpu_report.py --accuracy "$out/accuracy.lines"
}

section_step_convnet_128_tf32() { bench convnet 128 tf32; }
section_step_convnet_128_bf16() { bench convnet 128 bf16; }
section_step_resnet18_128_tf32() { bench resnet18 128 tf32; }
section_step_resnet18_128_bf16() { bench resnet18 128 bf16; }
section_step_resnet18_512_tf32() { bench resnet18 512 tf32; }
section_step_resnet18_512_bf16() { bench resnet18 512 bf16; }
section_compiled_convnet_128_tf32() { compiled convnet 128 tf32; }
section_compiled_convnet_128_bf16() { compiled convnet 128 bf16; }
section_compiled_resnet18_128_tf32() { compiled resnet18 128 tf32; }
section_compiled_resnet18_128_bf16() { compiled resnet18 128 bf16; }
section_compiled_resnet18_512_tf32() { compiled resnet18 512 tf32; }
section_compiled_resnet18_512_bf16() { compiled resnet18 512 bf16; }

section_data() {
  local sizes=(--batch 512 --steps 500 --samples 50000 --shape 3,32,32)
  [ "$quick" = no ] || sizes=(--steps 20 --samples 1000)
  "$earlybird" bench data --device "$device" "${sizes[@]}"
}

section_epoch() {
  local sizes=(--samples 50000 --batch 128 --rounds 2)
  [ "$quick" = no ] || sizes=(--samples 100 --batch 20 --rounds 1)
  "$earlybird" bench epoch --device "$device" "${sizes[@]}"
}

section_graph() {
  local how hashes=
  for how in off auto; do
    if ! train "graph-$how" --seed 1 --set "train.cuda_graph=$how" >"$out/graph.lines" 2>&1; then
      cat "$out/graph.lines"
      ! grep -q 'train.cuda_graph' "$out/graph.lines" || return 3 # no such key in this build
      return 1
    fi
    say "train.cuda_graph = $how: $(ended "graph-$how"), $("$python" - "$out/graph-$how" <<'PY'
import glob, json, sys
lines = [json.loads(l) for f in glob.glob(sys.argv[1] + "/*/journal.jsonl") for l in open(f)]
rates = sorted(e["images_per_s"] for e in lines if e["event"] == "step")
print(f"{rates[len(rates) // 2]:.0f} images/s")
PY
)"
    hashes="$hashes $(ended "graph-$how")"
  done
  # Without a graph the second run would only repeat the first.
  if grep -qh '"code":"cuda_graph"' "$out"/graph-auto/*/journal.jsonl; then
    grep -h '"code":"cuda_graph"' "$out"/graph-auto/*/journal.jsonl
    return 1
  fi
  # shellcheck disable=SC2086 # hash and accuracy, twice
  set -- $hashes
  [ "$1" = "$3" ] || { say "the two runs end with different parameters" && return 1; }
}

section_out_of_memory() {
  local code
  [ "$device" != cpu ] || { say "not on the CPU: it would take the memory of all" && return 3; }
  "$earlybird" bench step --model resnet18 --batch 131072 --samples 131072 --steps 1 \
    --device "$device" 2>&1 | tail -5
  code=${PIPESTATUS[0]}
  say "exit code $code"
  [ "$code" = 1 ]
}

# ---- The order, the limits ----

# A section's name, the seconds that it may take, what it shows.
SECTIONS=(
  "versions 30 Versions and libraries"
  "doctor 60 \`earlybird doctor\`"
  "kernels_fp32 90 Unit tests of the model and its kernels, without TF32"
  "same_hash 90 Two runs of the demo end with the same parameters"
  "kill_and_resume 90 A run that was killed (kill -9) and resumed ends with the same parameters"
  "step_convnet_128_tf32 90 Steps: convnet, batch 128, fp32 as TF32"
  "step_convnet_128_bf16 90 Steps: convnet, batch 128, bf16"
  "step_resnet18_128_tf32 90 Steps: resnet18, batch 128, fp32 as TF32"
  "step_resnet18_128_bf16 90 Steps: resnet18, batch 128, bf16"
  "step_resnet18_512_tf32 90 Steps: resnet18, batch 512, fp32 as TF32"
  "step_resnet18_512_bf16 90 Steps: resnet18, batch 512, bf16"
  "kernels_tf32 90 Unit tests of the model and its kernels, with TF32"
  "accuracy 90 Accuracy of the demo beside the CPU's, seeds 1 to 3"
  "graph 90 CUDA graphs off and on"
  "epoch 90 Whole epochs of a run beside a bare loop"
  "data 30 Batches out of resident images, as they are and cropped"
  "out_of_memory 60 A batch that no GPU holds ends with an error, exit code 1"
  "compiled_resnet18_128_bf16 120 PyTorch compiled: resnet18, batch 128, bf16"
  "compiled_convnet_128_bf16 120 PyTorch compiled: convnet, batch 128, bf16"
  "compiled_resnet18_512_bf16 120 PyTorch compiled: resnet18, batch 512, bf16"
  "compiled_convnet_128_tf32 120 PyTorch compiled: convnet, batch 128, fp32 as TF32"
  "compiled_resnet18_128_tf32 120 PyTorch compiled: resnet18, batch 128, fp32 as TF32"
  "compiled_resnet18_512_tf32 120 PyTorch compiled: resnet18, batch 512, fp32 as TF32"
)

if [ -n "$only" ]; then
  "section_$only"
  exit
fi

all() {
  options=(--device "$device" --to "$out")
  [ "$quick" = no ] || options+=(--quick)
  for row in "${SECTIONS[@]}"; do
    read -r name limit title <<<"$row"
    [ ! -e "$out/$name.ended" ] || continue
    left=$((budget - SECONDS))
    [ "$left" -ge 10 ] || { say "no time left for: $name" && continue; }
    began=$SECONDS
    # Its processes are one group, which the limit ends as a whole, and so does who ends this.
    timeout --kill-after=5 "$((limit < left ? limit : left))" \
      bash "$self" "${options[@]}" --section "$name" >"$out/$name.txt" 2>&1 &
    trap 'kill $! 2>/dev/null; exit 130' INT TERM
    wait $!
    code=$?
    printf '%s %s\n' "$code" "$((SECONDS - began))" >"$out/$name.part"
    mv "$out/$name.part" "$out/$name.ended"
    say "$(printf '%4s s  code %-3s  %s' "$((SECONDS - began))" "$code" "$name")"
  done
  printf '%s\n' "${SECTIONS[@]}" >"$out/sections"
  [ "$quick" = no ] && quick=
  "$python" scripts/gpu_report.py "$out" "$device" ${quick:+quick} >"$out/report.md" &&
    say "report: $out/report.md"
}
all && exit # a file that changes while this runs is read no further
