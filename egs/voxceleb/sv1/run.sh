#!/usr/bin/env bash
# The paper's recipe: VoxCeleb2 to train with, WavLM-Large as the teacher, seven test sets. It needs the corpora (README.md)
# and a GPU. Runs in the current directory; all options of the top-level run.sh can follow (--help lists them).
set -euo pipefail

recipe=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

exec "$recipe/../../../run.sh" \
    --recipe "$recipe" \
    --tag voxceleb_small \
    --train_set voxceleb2_dev \
    --valid_set valid \
    --test_sets "vox1_o vox1_e vox1_h voxsrc23_val vcmix voices_dev voices_eval" \
    --aug_sets "musan_speech musan_music musan_noise rirs" \
    --teacher WAVLM_LARGE \
    --distill_config conf/train_distill.yaml \
    --train_config conf/train_speaker.yaml \
    --score_config conf/score.yaml \
    --ngpu 1 \
    --nj 8 \
    --recipe_defaults end \
    "$@"
