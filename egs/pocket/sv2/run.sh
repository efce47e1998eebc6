#!/usr/bin/env bash
# pocket2: a small SV-Mixer that hears voices through telephones and other devices, trained on 460 speakers. It needs corpora
# (README.md), and a GPU to be done in minutes. Runs in the current directory with the folders data, dump and exp; all options of
# the top-level run.sh can follow (--help lists them).
set -euo pipefail

recipe=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
embeddings=exp/ge2e/vectors.scp

# main TAG OPTION…: the pipeline with an experiment's name.
main() {
    "$recipe/../../../run.sh" \
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

case " $* " in
    *" --help "* | *" -h "* | *" --model "* | *" --model="*)
        main pocket2 "$@"
        exit
        ;;
esac
if [ ! -f exp/pocket2_second/train/.done ]; then
    main pocket2_first "$@" --stage data --stop_stage distill --teacher wavlm_tiny --distill_config conf/train_distill.yaml
    # shellcheck disable=SC1091  # found through the folder of this file
    . "$recipe/../../../path.sh"
    [ -f "$embeddings" ] || python "$recipe/local/ge2e_embeddings.py" --resemblyzer data/resemblyzer --dump_dir dump/train \
        --speeds '[0.9, 1.0, 1.1]' --output_dir "${embeddings%/*}"
    for step in first second; do
        main "pocket2_$step" "$@" --stage train --stop_stage train --teacher_embeddings "$embeddings" \
            --train_config "conf/train_$step.yaml"
    done
fi
main pocket2 "$@"
