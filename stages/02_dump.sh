#!/usr/bin/env bash
# Stage 2, dump: every set as 16 kHz mono PCM in sharded arks, in parallel jobs.
set -euo pipefail

option_names="recipe datadir dumpdir train_set valid_set test_sets aug_sets feats_type trim max_drop allow_pipes nj force"
# Utterances shorter than this are dropped, in seconds.
min_seconds=0.3
# Options that the user gave, separated by blanks; the others are as when a set was dumped. Empty: those of this command line.
given=
. "$(dirname "$0")/options.sh"
. "$(dirname "$0")/lib.sh"

remembered_options=(feats_type trim max_drop allow_pipes)

# siblings_given SET: for a new SET, the file with the options that another set in the same place was dumped with. Sets of this
# run and with speakers go before others.
siblings_given() {
    local set owner
    for set in $train_set $valid_set $test_sets $aug_sets "$dumpdir"/*/; do
        set=$dumpdir/$(basename "$set")
        if [ "$set" = "$dumpdir/$1" ] || [ ! -f "$set/.done" ] || [ ! -f "$set/.given" ]; then continue; fi
        IFS= read -r -d '' owner <"$set/.given" || true
        [ "$owner" = "$(recipe_name)" ] || continue
        echo "$set/.given"
        return 0
    done
}

# dump_set SET SHORTEST OPTION…: one set, without utterances shorter than that many seconds, with its own values of the options.
dump_set() {
    local set=$1 shortest=$2 own_options=("${@:3}") data=$datadir/$1 out=$dumpdir/$1 spec name options audio given_file inputs=()
    # The options that this set was dumped with.
    local feats_type=$feats_type trim=$trim min_seconds=$shortest max_drop=$max_drop allow_pipes=$allow_pipes remembered=
    [ -f "$data/wav.scp" ] || die "$data/wav.scp is missing; it is made by stage 1 (data): run with --stage 1"
    given_file=$out/.given
    [ -f "$given_file" ] || [ -f "$out/.done" ] || given_file=$(siblings_given "$set")
    recall "$out" "$given_file" "${own_options[@]}"
    options=(--feats_type "$feats_type" --trim "$trim" --min_seconds "$min_seconds" --allow_pipes "$allow_pipes")
    spec=(--stage dump --option "dump=${options[*]} --max_drop $max_drop")
    for name in wav.scp segments parts reco2file_and_channel utt2spk utt2session trials enroll.map; do
        [ ! -f "$data/$name" ] || inputs+=("$data/$name")
    done
    for name in "${inputs[@]}"; do spec+=(--input "$name"); done
    spec+=(--audio "$data/wav.scp" --output "$out/wav.scp" --output "$out/utt2num_samples")
    if is_done "$out/.done" "${spec[@]}"; then
        log "stage 2: $out is done"
        return 0
    fi
    log "stage 2: $data → $out ($nj jobs, logs in $out/log)"
    audio=$(marker audio "$out/.done" --audio "$data/wav.scp")
    resume_by "${inputs[@]}" <(echo "$audio")
    # shellcheck disable=SC2154  # from cmd.sh
    run_tasks "$dump_cmd ${resume_options[*]}" "$nj" "$out/log/dump" \
        python -m svmixer dump --data_dir "$data" --output_dir "$out" --num_jobs "$nj" "${options[@]}"
    finish_tasks "$out/log"
    python -m svmixer dump_merge --data_dir "$data" --output_dir "$out" --num_jobs "$nj" --max_drop "$max_drop"
    remember "$out/.given" "${own_options[@]}"
    mark_done "$out/.done" "${spec[@]}"
}

own "$dumpdir"
for set in $train_set $valid_set $test_sets; do
    dump_set "$set" "$min_seconds" min_seconds "${remembered_options[@]}"
done
# An impulse response or a click of noise may be of any length.
for set in $aug_sets; do
    dump_set "$set" 0 "${remembered_options[@]}"
done
log "stage 2: done"
