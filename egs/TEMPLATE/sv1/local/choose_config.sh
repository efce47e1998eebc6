#!/usr/bin/env bash
# Which configuration suits a training set, for --distill_config auto and --train_config auto. Prints `conf/NAME.yaml<TAB>why` and,
# after another tab, options of the training if the configuration has to be changed for a set of this size.
#
# Few speakers are enough to learn which directions of an embedding differ within speakers, not to learn the embedding itself:
# with 34 and with 300 speakers, training on their labels made validation speakers worse epoch by epoch, and the distilled
# student's statistics, whitened, were best (docs/default_run.md, egs/pocket/sv1/README.md).
set -euo pipefail
recipe=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# shellcheck disable=SC1091  # found through the folder of this file
. "$recipe/path.sh"

# distill or speaker: for which training.
kind=speaker
# Lists of the training set.
train_dir=dump/train
# Teacher, or none.
teacher=wavlm_tiny
# Configuration that was chosen already; empty chooses one.
config=
# From this number of speakers on, student and backend learn from their labels.
many_speakers=300
# Utterances that a speaker must have to count as one of them.
utterances=10
# Least number of steps of a distillation: as many as in the default recipe.
steps=220
# Least number of steps between two validations: smaller sets get longer epochs.
epoch_steps=20
# shellcheck disable=SC1091
. "$SVMIXER_ROOT/tools/parse_options.sh"
require_int 1 many_speakers utterances steps epoch_steps
[[ $kind =~ ^(distill|speaker)$ ]] || { echo "${0##*/}: --kind must be distill or speaker, not '$kind'" >&2; exit 1; }

[ -f "$train_dir/spk2utt" ] || { echo "${0##*/}: $train_dir/spk2utt is missing: it lists the speakers" >&2; exit 1; }
read -r speakers all able < <(awk -v least="$utterances" \
    '{ all += NF - 1; if (NF > least) able++ } END { print NR, all + 0, able + 0 }' "$train_dir/spk2utt")
why="$speakers speakers with $all utterances in $train_dir, $able speakers with $utterances or more"
if [ -n "$config" ]; then
    why+=": $config was chosen"
elif [ "$able" -ge "$many_speakers" ]; then
    config=conf/train_$kind.yaml why+=": enough to train on their labels"
elif [ "$teacher" = none ]; then
    config=conf/train_$kind.yaml why+=": too few, but without a teacher there is nothing else to learn from"
else
    config=conf/train_${kind}_few.yaml
    why+=", of $many_speakers that training on labels needs: the distilled student and whitening alone"
fi

# enough_epochs FILE: for how long a student is distilled with FILE. After a tab, options: if FILE alone gives too few steps, or
# its learning rate would rise for more than a quarter of them.
enough_epochs() {
    python - "$1" "$all" "$steps" "$epoch_steps" <<'EOF'
import sys

from svmixer.config import load
from svmixer.training.config import TrainConfig

config = load(TrainConfig, sys.argv[1])
utterances, steps, least = map(int, sys.argv[2:])
loop, given = config.loop, config.loop.max_epochs
if loop.phases or given == 0:
    sys.exit()
a_pass = utterances * len(config.data.speeds) // (loop.batch_size * loop.accumulate)
# An epoch is what lies between two validations.
epoch = loop.epoch_steps or a_pass
an_epoch = epoch if given * epoch >= steps else max(epoch, least)
epochs = max(given, -(-steps // an_epoch))
warmup = loop.schedule.warmup_steps
rising = min(warmup, epochs * an_epoch // 4)
options = []
if epochs > given:
    options += [f"--loop.max_epochs {epochs}"]
if an_epoch > epoch:
    options += [f"--loop.epoch_steps {an_epoch}"]
if rising < warmup:
    options += [f"--loop.schedule.warmup_steps {rising}"]
length = f"; {epochs} epochs of {an_epoch} steps, {rising} steps of warm-up"
print(length, *([" ".join(options)] if options else []), sep="\t")
EOF
}
if [ "$kind" = distill ]; then
    # If there is none, the stage says where it looked.
    for file in "$recipe/$config" "$SVMIXER_ROOT/$config" "$config"; do
        [ -f "$file" ] || continue
        why+=$(enough_epochs "$file")
        break
    done
fi
printf '%s\t%s\n' "$config" "$why"
