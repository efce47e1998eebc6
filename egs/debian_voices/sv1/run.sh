#!/usr/bin/env bash
# The default recipe: real speech from Debian packages, a small self-supervised teacher, about 15 minutes on two cores.
# Runs in the current directory; all options of the top-level run.sh can follow (--help lists them).
set -euo pipefail

recipe=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

exec "$recipe/../../../run.sh" \
    --recipe "$recipe" \
    --tag voices_compact \
    --train_set train \
    --valid_set valid \
    --test_sets test \
    --aug_sets rirs \
    --local_data_opts "--voices compact" \
    --teacher wavlm_tiny \
    --distill_config conf/train_distill_light.yaml \
    --train_config conf/train_speaker_light.yaml \
    --lowpass 3800 \
    --control true \
    --recipe_defaults end \
    "$@"
