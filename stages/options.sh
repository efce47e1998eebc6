# shellcheck shell=bash
# The options of the pipeline, each declared once: its help, its default, and at the end what its value must be.
#
# run.sh and the stages source this file in place of tools/parse_options.sh. A script names the options that it takes in
# `option_names`, one that has all of them writes `all`, and declares those that are its own, above, as any script does. run.sh hands
# every stage what the stage takes. A new option needs its lines here and its name in the stages that use it.
# shellcheck disable=SC2034,SC2154  # options and option_names belong to the script that sources this

# Recipe directory, with local/data.sh and conf/; none: the current directory for a stage, egs/debian_voices/sv1 for run.sh.
recipe=
# Parallel jobs of stages 1, 2, 5 and 7.
nj=2
# GPUs for stages 3 to 5, of each node; 0 uses the CPU. Each job of stage 5 has one of its own.
ngpu=0
# Nodes that stages 3 and 4 train on; each has a task of its own at the dispatcher.
num_nodes=1
# How often the job of stage 3 or 4 is submitted again after a signal stopped it (time limit, pre-emption); empty: 20 on
# clusters, else 0.
max_resubmits=
# Where the Kaldi lists go.
datadir=data
# Where the dumped audio goes.
dumpdir=dump
# Where results go.
expdir=exp
# Name of the experiment: results are in <expdir>/<tag>.
tag=default
# Training set; the controls, the cohort of score normalisation, means and PLDA are made of it, too.
train_set=train
# Validation set, with trials.
valid_set=valid
# Test sets, separated by blanks; stage 7 checks its graphs on the first.
test_sets="test"
# Further sets that augmentation uses, without speakers, separated by blanks.
aug_sets=
# Options for the recipe's local/data.sh.
local_data_opts=
# raw: write 16 kHz arks; raw_copy: point at the originals, if they are 16 kHz mono PCM already.
feats_type=raw
# true: cut silence off both ends of every utterance in stage 2.
trim=false
# Largest share of a set that stage 2 may drop.
max_drop=0.02
# true: commands in wav.scp ("sox … |") are run.
allow_pipes=true
# Teacher: a name (wavlm_tiny), a directory, a torchaudio bundle (WAVLM_LARGE), or none.
teacher=wavlm_tiny
# Kaldi vectors (an scp) of the training utterances, embedded by another system, that stage 4 also learns from; empty: none.
teacher_embeddings=
# Model directory, or name of a model of the package, to evaluate instead of training one: run.sh leaves out stages 3, 4 and 7.
model=
# Model directory, or name of a model of the package, that is scored on the test sets before the training, with advice whether to
# train; it is the first row of the results. Empty: none.
baseline=
# true: stage 4 starts from the student of stage 3; false, or without a teacher: it starts anew.
init_distilled=true
# Configuration of stage 3; auto: the recipe's local/choose_config.sh chooses one by what is in the training set; auto:FILE: FILE,
# and the recipe says for how long.
distill_config=conf/train_distill.yaml
# Further options of stage 3: "--loop.max_epochs 5 …".
distill_args=
# Configuration of stage 4; auto: likewise. Where run.sh is given auto for one of the two, it goes with the other.
train_config=conf/train_speaker.yaml
# Further options of stage 4: "--loop.max_epochs 5 …".
train_args=
# Seed of weights, order, crops and augmentation.
seed=0
# Configuration of stage 5: protocol, crops, cohort.
score_config=conf/score.yaml
# Upper band edges in Hz at which every test set is scored once more, separated by blanks.
lowpass=
# Pairs of channel families, ENROL:TEST as amrnb:opus, separated by blanks: every test set is scored once more with the two sides
# of its trials through channels of these families.
channels=
# Seconds that the utterances of every test set are cut to, each scored once more, separated by blanks.
durations=
# asnorm: scores normalised with the closest of a cohort of training speech (AS-norm) as well, beside the raw ones; snorm: with all
# of it (S-norm); none: raw scores alone.
score_norm=none
# Further ways to score every test set, separated by blanks: mean (cosine after the mean of the training embeddings is taken off),
# plda (two-covariance model of the training speakers), plda:DIMENSIONS (the same behind LDA to so many dimensions).
scoring=
# true: also score the controls without a model: statistics of log-mel bands, plain and whitened.
control=false
# true: the report of stage 6 has players with pieces of the recordings of the hardest wrong trials.
report_audio=true
# true: stage 7 also writes ONNX graphs, float32 and int8, checks them on speech, and writes a model card.
onnx=true
# Further options of stage 7: "--weights float16".
export_args=
# true: stages 3 and 4 continue trainings, finished ones too, although their inputs or options have changed.
allow_changes=false
# true: do finished work again; earlier trainings are set aside.
force=false

# shellcheck source=tools/parse_options.sh
. "$(dirname "${BASH_SOURCE[0]}")/../tools/parse_options.sh"

for _name in $option_names; do
    [ "$_name" = all ] || [[ -v $_name ]] || option_error "option_names: ${BASH_SOURCE[0]} declares no '$_name'"
done
[ $# -eq 0 ] || option_error "unexpected argument '$1' (options are --name value; --help lists them)"
require_bool trim allow_pipes init_distilled control report_audio onnx allow_changes force
require_int 1 nj num_nodes
require_int 0 ngpu seed
[ -z "$max_resubmits" ] || require_int 0 max_resubmits
require_words local_data_opts distill_args train_args export_args
[[ $score_norm =~ ^(none|asnorm|snorm)$ ]] || option_error "--score_norm $score_norm is not one of none, asnorm, snorm"
for _value in $scoring; do
    [[ $_value =~ ^(mean|plda(:[1-9][0-9]*)?)$ ]] || option_error "--scoring takes mean, plda or plda:DIMENSIONS, found '$_value'"
done
for _value in $lowpass $durations; do
    [[ $_value =~ ^[0-9]+(\.[0-9]+)?$ ]] || option_error "--lowpass and --durations take numbers, found '$_value'"
done
for _value in $channels; do
    [[ $_value =~ ^[a-z0-9]+:[a-z0-9]+$ ]] || option_error "--channels takes pairs ENROL:TEST, as amrnb:opus, found '$_value'"
done
unset _name _value
recipe=${recipe:-.}
