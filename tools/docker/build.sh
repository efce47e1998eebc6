#!/usr/bin/env bash
# Build the Docker image of the project: tools/docker/Dockerfile, with this checkout in it.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)

# What the image computes on: cpu, or cuda (NVIDIA GPUs; it runs without one, too).
variant=cpu
# Name of the image; empty: svmixer:<variant>.
tag=
# Python of the image, to the last digit, as 3.11.13; empty: the one that the Dockerfile names by its digest.
python=
# pip.conf to install with (a mirror, an index with CPU builds of torch); it does not get into the image. Empty: none.
pip_conf=

. "$root/tools/parse_options.sh"

die() {
    echo "build.sh: $*" >&2
    exit 1
}

[ $# -eq 0 ] || die "unexpected argument '$1' (see --help)"
command -v docker >/dev/null || die "docker is not on PATH"
case $variant in
    cpu | cuda) ;;
    *) die "--variant must be cpu or cuda, not '$variant'" ;;
esac
options=(--build-arg "VARIANT=$variant")
if [ -n "$python" ]; then
    [[ $python =~ ^3\.1[0-3]\.[0-9]+$ ]] ||
        die "--python must be a version from 3.10 to 3.13 to its last digit (3.11.13), not '$python'"
    options+=(--build-arg "BASE=python:$python-slim-bookworm")
fi
if [ -n "$pip_conf" ]; then
    [ -f "$pip_conf" ] || die "no such file: $pip_conf"
    # Docker takes a list separated by commas here.
    [[ $pip_conf != *[,\"]* ]] || die "--pip_conf: docker cannot be given a comma or a quotation mark in a path: $pip_conf"
    options+=(--secret "id=pip_conf,src=$pip_conf")
fi
if commit=$(git -C "$root" describe --always --dirty --abbrev=40 --exclude='*' 2>/dev/null); then
    options+=(--label "org.opencontainers.image.revision=$commit")
fi

export DOCKER_BUILDKIT=1
exec docker build --file "$root/tools/docker/Dockerfile" "${options[@]}" --tag "${tag:-svmixer:$variant}" "$root"
