#!/usr/bin/env bash
# The smaller model of the package, for devices, trained on 300 speakers. It needs LibriSpeech (README.md)
# and half an hour on two cores. Runs in the current directory; all options of the top-level run.sh can follow (--help lists them).
set -euo pipefail

recipe=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

exec "$recipe/../../../run.sh" \
    --recipe "$recipe" \
    --tag pocket \
    --train_set train \
    --valid_set valid \
    --test_sets test \
    --aug_sets rirs \
    --teacher wavlm_tiny \
    --distill_config conf/train_distill.yaml \
    --train_config conf/train_speaker.yaml \
    --lowpass 3800 \
    --control true \
    --export_args "--weights float16" \
    --recipe_defaults end \
    "$@"
