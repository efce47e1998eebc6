# shellcheck shell=bash
# What stages 3 and 4 share: a training as a job of several nodes, submitted again until it is done. Sourced after lib.sh.
# shellcheck disable=SC2154  # options of the script that sources this, and what cmd.sh sets

# augmentation_inputs: sets aug_markers to the markers of the augmentation sets that are there, and aug_spec to what they are in
# the marker of a training. Trainings of earlier versions do not know theirs, and stay.
augmentation_inputs() {
    local set
    aug_markers=() aug_spec=()
    for set in $aug_sets; do
        [ -d "$dumpdir/$set" ] || continue
        aug_markers+=("$dumpdir/$set/.done")
        aug_spec+=(--list "$dumpdir/$set/.done")
    done
}

# run_training DIR NAME command…: dispatch the training in DIR, logged as DIR/NAME.log (NAME.<node>.log for several nodes).
#
# A training that a signal stopped (time limit, pre-emption) has saved its state and left DIR/.interrupted: it is submitted
# again, --max_resubmits times at most, and only if it went on between two submissions. Ctrl-C or TERM for this script ends
# it for good.
run_training() {
    local dir=$1 name=$2 again=0 before=-1 steps most status
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
        steps=$(python -m svmixer steps_done "$dir")
        log "$dir: $(cat "$dir/.interrupted") ($steps steps done)"
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
    # All or none: a node that waits for another one's turn would wait for ever.
    dispatch_watched "$cmd --max-jobs-run $num_nodes $node_word=1:$num_nodes" "$dir/$name.$node_word.log" "$@" \
        --device.num_nodes "$num_nodes" --device.node "$node_word" --device.attempt "$(date +%s).$$.$attempt"
}
