#!/usr/bin/env bash
# Your own recordings: put wav.scp and utt2spk (and trials, if you have them) into lists/ beside this file; docs/own_data.md
# says what they look like. Runs in the current directory; all options of the top-level run.sh can follow (--help lists them).
set -euo pipefail

recipe=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
corpus=$(basename "$(dirname "$recipe")")

# A configuration is looked up in conf/ beside this file first, then in the project's conf/, which one of your own can extend
# (`base: conf/train_speaker.yaml`, conf/README.md there).
# auto: local/choose_config.sh takes one of conf/ by the number of speakers and utterances found.
exec "$recipe/../../../run.sh" \
    --recipe "$recipe" \
    --tag "$corpus" \
    --train_set train \
    --valid_set valid \
    --test_sets test \
    --teacher wavlm_tiny \
    --distill_config auto \
    --train_config auto \
    --score_config conf/score.yaml \
    --recipe_defaults end \
    "$@"
