#!/usr/bin/env bash
# pocket2: a small SV-Mixer that hears voices through telephones and other devices, trained on 460 speakers. It needs corpora
# (README.md), and a GPU to be done in minutes. Runs in the current directory with the folders data, dump and exp. Options of the
# top-level run.sh can follow (--help lists them). A training is a chain of four experiments, so their names and folders are fixed.
# --stage starts within the last of them, pocket2; --stop_stage (data or dump) ends the preparation.
set -euo pipefail

recipe=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
embeddings=exp/ge2e/embeddings.scp
. "$recipe/../../../tools/run_child.sh"
# A signal between two steps ends the script as one within a step does.
trap 'exit 2' TERM INT HUP

# main TAG OPTION…: the pipeline with an experiment's name.
main() {
    run_child "$recipe/../../../run.sh" \
        --recipe "$recipe" \
        --tag "$1" \
        --train_set train \
        --valid_set valid \
        --test_sets test \
        --aug_sets "rirs noise music" \
        --teacher none \
        --train_config conf/train_speaker.yaml \
        --score_config conf/score.yaml \
        --lowpass 3800 \
        --control true \
        --export_args "--weights float16" \
        --recipe_defaults end \
        "${@:2}"
}

# given NAME…: whether one of these options is on the command line.
given() {
    local name word
    for name in "$@"; do
        for word in "${arguments[@]}"; do
            case ${word//-/_} in "__$name" | "__$name="*) return 0 ;; esac
        done
    done
    return 1
}
arguments=("$@")

case " $* " in *" --help "* | *" -h "*) set -- --help ;; esac
if [ "$*" = --help ] || given model stage; then
    main pocket2 "$@"
    exit
fi
if given tag expdir dumpdir datadir train_set valid_set; then
    echo "run.sh: --tag, --expdir, --dumpdir, --datadir, --train_set and --valid_set are fixed for a training; they go with --model" >&2
    exit 1
fi
if given stop_stage; then
    [[ " ${arguments[*]//-/_}" =~ " __stop_stage"[=\ ](data|dump|1|2)( |$) ]] || {
        echo "run.sh: --stop_stage is data or dump, unless --stage is given, too" >&2
        exit 1
    }
    main pocket2_first "$@" --skip_stages "distill train score report export"
    exit
fi
main pocket2_first "$@" --stop_stage distill --teacher wavlm_tiny --distill_config conf/train_distill.yaml
# shellcheck disable=SC1091  # found through the folder of this file
. "$recipe/../../../path.sh"
run_child python "$recipe/local/ge2e_embeddings.py" --resemblyzer data/resemblyzer --dump_dir dump/train --speeds '[0.9, 1.0, 1.1]' \
    --output_dir "${embeddings%/*}"
for step in first second; do
    main "pocket2_$step" "$@" --stage train --stop_stage train --teacher_embeddings "$embeddings" \
        --train_config "conf/train_$step.yaml"
done
main pocket2 "$@"
