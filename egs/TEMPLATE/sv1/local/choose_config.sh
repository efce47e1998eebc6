#!/usr/bin/env bash
# Which configuration suits a training set: `conf/NAME.yaml<TAB>why`, for --distill_config auto and --train_config auto.
#
# Few speakers are enough to learn which directions of an embedding differ within speakers, not to learn the embedding itself:
# with 34 and with 300 speakers, training on their labels made validation speakers worse epoch by epoch, and the distilled
# student's statistics, whitened, were best (docs/results.md, docs/light.md, egs/pocket/sv1/README.md).
set -euo pipefail
recipe=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# shellcheck disable=SC1091  # found through the folder of this file
. "$recipe/../../../path.sh"

# distill or speaker: for which training.
kind=speaker
# Lists of the training set.
train_dir=dump/train
# Teacher, or none.
teacher=wavlm_tiny
# Speakers from which on the student and a backend learn from their labels.
many_speakers=300
# Utterances that a speaker must have to count as one of them.
utterances=10
# shellcheck disable=SC1091
. "$SVMIXER_ROOT/tools/parse_options.sh"
require_int 1 many_speakers utterances

[ -f "$train_dir/spk2utt" ] || { echo "${0##*/}: $train_dir/spk2utt is missing: it has the speakers" >&2; exit 1; }
read -r speakers all able < <(awk -v least="$utterances" \
    '{ all += NF - 1; if (NF > least) able++ } END { print NR, all + 0, able + 0 }' "$train_dir/spk2utt")
found="$speakers speakers with $all utterances in $train_dir, $able speakers with $utterances or more"
if [ "$able" -ge "$many_speakers" ]; then
    printf 'conf/train_%s.yaml\t%s: enough to train on their labels\n' "$kind" "$found"
elif [ "$teacher" = none ]; then
    printf 'conf/train_%s.yaml\t%s: too few, but without a teacher there is nothing else to learn from\n' "$kind" "$found"
else
    printf 'conf/train_%s_few.yaml\t%s, of %s that training on labels needs: %s\n' "$kind" "$found" "$many_speakers" \
        "the distilled student and whitening alone"
fi
