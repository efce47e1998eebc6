#!/usr/bin/env bash
# Your own recordings: a folder with a folder for each speaker (--local_data_opts "--audio_dir DIR"), or wav.scp and utt2spk (and
# trials, if you have them) in lists/ beside this file; docs/own_data.md says what they look like. All options of the top-level run.sh
# can follow (--help lists them). It works in the current directory; in that of this file if the recipe is outside the project.
set -euo pipefail

recipe=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
corpus=$(basename "$(dirname "$recipe")")
# Of path.sh the place alone: the top-level run.sh makes the environment first.
root=$(. "$recipe/path.sh" && echo "$SVMIXER_ROOT")
[[ $recipe == "$root"/* ]] || cd "$recipe"

# A configuration is looked up in conf/ beside this file first, then in the project's conf/, which one of your own can extend
# (`base: conf/train_speaker.yaml`, conf/README.md there).
# auto: local/choose_config.sh takes one of conf/ by the number of speakers and utterances found.
# baseline: the model of the package, scored before the training; it is the first row of the results.
exec "$root/run.sh" \
    --recipe "$recipe" \
    --tag "$corpus" \
    --train_set train \
    --valid_set valid \
    --test_sets test \
    --teacher wavlm_tiny \
    --distill_config auto \
    --train_config auto \
    --score_config conf/score.yaml \
    --baseline pocket2 \
    --recipe_defaults end \
    "$@"
