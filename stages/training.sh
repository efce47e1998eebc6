# shellcheck shell=bash
# What stages 3 and 4 share: how a training is configured, and that it is a job of one or several nodes, submitted again until it is
# done. Sourced after lib.sh.
# shellcheck disable=SC2154  # options of the script that sources this, and what cmd.sh sets

# choose_config KIND FILE TRAIN_DIR TEACHER: sets config to FILE as `resolve` finds it; for `auto` the recipe's
# local/choose_config.sh chooses it by what it finds in TRAIN_DIR; for `auto:FILE` it only says what to change in FILE. `chosen` gets
# that name, `chosen_args` the changes: options of the training.
# shellcheck disable=SC2034  # for the script that sources this
choose_config() {
    local answer script=$recipe/local/choose_config.sh options=(--kind "$1" --train_dir "$3" --teacher "$4")
    chosen='' chosen_args=''
    config=${2#auto:}
    if [ "$config" = auto ]; then
        [ -f "$script" ] || die "$script is missing: it names the configuration where 'auto' is asked for"
    elif [ "$config" = "$2" ] || [ ! -f "$script" ] || ! _options_of "$script" | cut -f1 | grep -x config >/dev/null; then
        config=$(resolve "$config")
        return 0
    else
        options+=(--config "$config")
    fi
    answer=$(bash "$script" "${options[@]}")
    IFS=$'\t' read -r config answer chosen_args <<<"$answer"
    log "$config, because of $answer"
    chosen=$config
    config=$(resolve "$config")
}

# plan_training STAGE KIND FILE ARGS LEARNED: what a training is made from, as `spec` for its marker, and `options` for its
# program. Stops if a set is not dumped. FILE is its configuration, ARGS what the user wants changed in it; `auto` is chosen by
# what the student has LEARNED from.
plan_training() {
    local stage=$1 kind=$2 file=$3 args=$4 learned=$5 set word markers=()
    spec=(--stage "$stage")
    for set in "$train_set" "$valid_set"; do
        markers+=("$dumpdir/$set/.done@dump")
        spec+=(--input "$dumpdir/$set/.done")
    done
    # Only those that exist. Markers of earlier versions do not list them; such trainings stay done.
    for set in $aug_sets; do
        [ -d "$dumpdir/$set" ] || continue
        markers+=("$dumpdir/$set/.done@dump")
        spec+=(--list "$dumpdir/$set/.done")
    done
    require "${markers[@]}"
    choose_config "$kind" "$file" "$dumpdir/$train_set" "$learned"
    spec+=(--config "$config" --option "args=${chosen_args:+$chosen_args }$args" --option "seed=$seed"
        --option "teacher=$teacher $(teacher_digest "$teacher")")
    options=(--data.train "$dumpdir/$train_set" --data.valid "$dumpdir/$valid_set" --augment.dumpdir "$dumpdir" --loop.seed "$seed")
    split_words "$chosen_args"
    options+=("${words[@]}")
    # The user's options win.
    split_words "$args"
    options+=("${words[@]}")
    for word in "${words[@]}"; do
        if [[ $word =~ \.ya?ml$ ]]; then spec+=(--named "${word#--*=}"); fi
    done
}

# run_training DIR NAME command…: dispatch the training in DIR, logged as DIR/NAME.log (NAME.<node>.log for several nodes).
#
# A training that a signal stopped (time limit, pre-emption) has saved its state and left DIR/.interrupted, which says why
# and how many steps are saved: it is submitted again, --max_resubmits times at most, and only if it went on between two
# submissions. Ctrl-C or TERM for this script ends it for good.
run_training() {
    local dir=$1 name=$2 again=0 before=-1 reason steps most status
    shift 2
    most=$max_resubmits
    if [ -z "$most" ]; then
        if [ "$cmd_backend" = local ]; then most=0; else most=20; fi
    fi
    while true; do
        rm -f "$dir/.interrupted"
        status=0
        submit_training "$dir" "$name" "$again" "$@" || status=$?
        # 2: the dispatcher itself was told to stop.
        if [ "$status" -ne 1 ] || [ "$told_to_stop" = true ] || [ ! -f "$dir/.interrupted" ]; then
            return "$status"
        fi
        { read -r reason && read -r steps; } <"$dir/.interrupted"
        log "$dir: $reason ($steps steps done)"
        [ "$again" -lt "$most" ] || die "$dir is not finished, and --max_resubmits is $most: run again to continue"
        [ "$steps" -gt "$before" ] || die "$dir: no step was made between two submissions; is the time limit too short?"
        before=$steps
        again=$((again + 1))
        log "$dir: submitting it again ($again of at most $most)"
    done
}

# submit_training DIR NAME ATTEMPT command…: one submission; an array with a task for each node if there are several.
submit_training() {
    local dir=$1 name=$2 attempt=$3 cmd="$train_cmd --gpu $ngpu" node_word=
    shift 3
    set -- "$@" --device.ngpu "$ngpu" --loop.allow_changes "$allow_changes"
    if [ "$num_nodes" -eq 1 ]; then
        dispatch_watched "$cmd" "$dir/$name.log" "$@"
        return
    fi
    node_word=$(task_word NODE "$dir/$name" "$@")
    # All at once: a node that waits for one whose turn has not come would wait forever.
    dispatch_watched "$cmd --max-jobs-run $num_nodes $node_word=1:$num_nodes" "$dir/$name.$node_word.log" "$@" \
        --device.num_nodes "$num_nodes" --device.node "$node_word" --device.attempt "$(date +%s).$$.$attempt"
}
