#!/usr/bin/env bash
# Read English of 250 speakers, half of them children: speechocean762 (OpenSLR 101, 520 MB, downloaded). Runs in the current directory;
# all options of the top-level run.sh can follow (--help lists them).
set -euo pipefail

recipe=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

exec "$recipe/../../../run.sh" \
    --recipe "$recipe" \
    --tag speechocean762 \
    --train_set train \
    --valid_set valid \
    --test_sets test \
    --aug_sets rirs \
    --teacher wavlm_tiny \
    --distill_config conf/train_distill.yaml \
    --train_config conf/train_speaker.yaml \
    --control true \
    --recipe_defaults end \
    "$@"
