#!/usr/bin/env bash
# The smoke recipe: five speakers of AN4, all seven stages in about a minute. It shows that everything works; its figures mean
# nothing (README.md). Runs in the current directory; all options of the top-level run.sh can follow (--help lists them).
set -euo pipefail

recipe=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

exec "$recipe/../../../run.sh" \
    --recipe "$recipe" \
    --tag mini_an4 \
    --train_set train \
    --valid_set valid \
    --test_sets test \
    --aug_sets "noise rirs" \
    --teacher wavlm_tiny \
    --distill_config conf/train_distill.yaml \
    --train_config conf/train_speaker.yaml \
    --score_config conf/score.yaml \
    --onnx false \
    --recipe_defaults end \
    "$@"
