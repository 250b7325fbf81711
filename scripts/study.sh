#!/bin/sh
# The comparisons behind docs/results.md, one after another. Each goes on where it was stopped:
#
#     scripts/study.sh [DIRECTORY [NAME...]]
#
# DIRECTORY takes the runs (default: study); with NAMEs only those comparisons are made. On two
# cores they take hours: embedded-50 took 25 minutes beside other work. `nice` and `nohup` go before
# it as before any command.
set -eu

earlybird=${EARLYBIRD:-earlybird}
jobs=${JOBS:-2}
runs=${1:-study}
[ $# -gt 0 ] && shift
wanted=$*

tail_arms=biased,biased-adjusted,biased-doubted,class-balanced,balanced-importance,square-root
tail_arms=$tail_arms,logit-adjusted,posthoc,drs,drw,ldam-drw
core_arms=biased,biased-adjusted,biased-doubted,class-balanced,logit-adjusted
saving_arms=infobatch,rcap,top-half,uniform-half,uniform-three-quarters

# compare NAME CONFIG ARMS SEEDS [--set KEY=VALUE...]
compare() {
    name=$1 config=$2 arms=$3 seeds=$4
    shift 4
    [ -z "$wanted" ] || case " $wanted " in *" $name "*) ;; *) return 0 ;; esac
    directory=$runs/$name-001
    if [ -f "$directory/outcome.json" ]; then
        echo "$name: there already"
    elif [ -d "$directory" ]; then
        "$earlybird" compare --resume "$directory" --jobs "$jobs" --headless --runs-dir "$runs"
    else
        "$earlybird" compare "$config" --arms "$arms" --seeds "$seeds" --name "$name" "$@" \
            --jobs "$jobs" --headless --runs-dir "$runs"
    fi
    "$earlybird" report "$directory"
}

# The embedded images.
embedded=configs/study-embedded.toml
compare embedded-50 $embedded $tail_arms 5
compare embedded-50-noise $embedded $core_arms 5 --set data.label_noise=0.1
compare embedded-10 $embedded $core_arms 5 --set data.imbalance=10
compare embedded-100 $embedded $core_arms 5 --set data.imbalance=100
compare embedded-1 $embedded $core_arms 5 --set data.imbalance=1 --set train.epochs=10
compare embedded-50-short $embedded $core_arms 5 --set train.epochs=6
compare embedded-50-augmented $embedded $core_arms 5 --set data.crop_padding=2 --set data.flip=true
compare embedded-50-resnet $embedded $core_arms 3 --set model.name=resnet18
compare saving $embedded $saving_arms 3 --set data.imbalance=1 --set train.epochs=12 \
    --set importance.pretrain_epochs=2

# All of Fashion-MNIST.
fashion=configs/study-fashion-mnist.toml
compare fashion-50 $fashion $core_arms 3
compare fashion-100 $fashion $core_arms 3 --set data.imbalance=100
compare fashion-1 $fashion $core_arms 3 --set data.imbalance=1 --set train.epochs=6

# CIFAR, for whoever has a GPU: only when named.
if [ -n "$wanted" ]; then
    for data in cifar10 cifar100; do
        compare $data-lt configs/study-$data-lt.toml $tail_arms 3
        compare $data-lt-50 configs/study-$data-lt.toml $tail_arms 3 --set data.imbalance=50
    done
fi
