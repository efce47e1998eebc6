#!/usr/bin/env bash
# Run a command in the project's Docker image, in the current directory: launch.sh [--option value ...] [--] [COMMAND ...]
#
# The current directory, and a data directory if one is given, have the same paths inside as outside, so lists with absolute
# paths hold on both sides. What the command writes belongs to you. Downloaded models are kept in .cache of the current
# directory. Without a command a shell starts. The project is in /opt/svmixer; tools/docker/build.sh makes the image.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)

# Image to run; empty: svmixer:cuda with GPUs, svmixer:cpu without.
image=
# GPUs: all, how many, or which (device=0,1); empty: none.
gpus=
# Directory with recordings, which can be read but not written; empty: none.
data=
# Size of the shared memory, through which data-loading processes pass batches on.
shm_size=2g

. "$root/tools/parse_options.sh"

die() {
    echo "launch.sh: $*" >&2
    exit 1
}

# Print docker's word for a directory that is seen under its own path; $2 is put behind it.
mount_of() {
    [[ $1 != *[,\"]* ]] || die "docker cannot be given a comma or a quotation mark in a path: $1"
    echo "type=bind,source=$1,target=$1$2"
}

command -v docker >/dev/null || die "docker is not on PATH"
case $PWD in
    / | /opt | /opt/svmixer | /opt/svmixer/*) die "the current directory, $PWD, would hide what the image has there" ;;
esac
mount=$(mount_of "$PWD" "")
options=(--rm --init --user "$(id -u):$(id -g)" --shm-size "$shm_size" --mount "$mount" --workdir "$PWD"
    # The caller need not be known inside: a home and a name all the same.
    --env HOME=/tmp --env "USER=$(id -un)" --env "XDG_CACHE_HOME=$PWD/.cache")
if [ -n "$data" ]; then
    [ -d "$data" ] || die "--data: no such directory: $data"
    data=$(cd "$data" && pwd)
    mount=$(mount_of "$data" ",readonly")
    options+=(--mount "$mount")
fi
if [ -n "$gpus" ]; then
    # Docker takes a list separated by commas here, of which this is one item.
    [[ $gpus != *,* ]] || gpus="\"$gpus\""
    options+=(--gpus "$gpus")
    image=${image:-svmixer:cuda}
fi
[ ! -t 0 ] || options+=(--interactive --tty)

exec docker run "${options[@]}" "${image:-svmixer:cpu}" "$@"
