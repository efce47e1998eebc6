#!/usr/bin/env bash
# Build the image and run it, without a Docker engine: the CPU variant of tools/docker/Dockerfile, then the recipe mini_an4 and
# `svmixer verify` in it. Needs root, buildah and debootstrap (Debian packages), network, and about 30 GB for the time of the
# test; takes about half an hour. The status is 77 where one of these is missing.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)

# Folder for the base system and the images; a new one in it is removed at the end.
work=${TMPDIR:-/var/tmp}
# Base image that buildah can pull; empty: a Debian made by debootstrap, with the certificates that this machine trusts.
base=
# Where debootstrap takes Debian 12 from; empty: its own choice.
mirror=
# pip.conf to install with; it does not get into the image. Empty: none.
pip_conf=

. "$root/tools/parse_options.sh"

stop() {
    echo "test.sh: $*" >&2
    exit 1
}
skip() {
    echo "not run: $*"
    exit 77
}
say() { echo "[docker test] ($SECONDS s) $*"; }

[ $# -eq 0 ] || stop "unexpected argument '$1' (see --help)"
[ -z "$pip_conf" ] || [ -f "$pip_conf" ] || stop "no such file: $pip_conf"
[ "$(id -u)" -eq 0 ] || skip "root is needed to build an image"
command -v buildah >/dev/null || skip "buildah is not on PATH (Debian: apt-get install buildah)"
[ -n "$base" ] || command -v debootstrap >/dev/null ||
    skip "debootstrap is not on PATH (Debian: apt-get install debootstrap, or name an image with --base)"

mkdir -p "$work"
work=$(mktemp -d "$(cd "$work" && pwd)/svmixer-docker-XXXXXX")
# Nothing of the machine's own images is touched, and no kernel feature is needed but chroot.
export STORAGE_DRIVER=vfs BUILDAH_ISOLATION=chroot TMPDIR=$work
with_buildah() { buildah --root "$work/storage" --runroot "$work/run" "$@"; }
clean_up() {
    with_buildah rm --all >/dev/null 2>&1 || true
    with_buildah rmi --all --force >/dev/null 2>&1 || true
    rm -rf "$work"
}
trap clean_up EXIT

if [ -z "$base" ]; then
    say "base: Debian 12 by debootstrap"
    debootstrap --variant=minbase --include=ca-certificates,python3-dev,python3-venv bookworm "$work/debian" ${mirror:+"$mirror"} \
        >"$work/debootstrap.log" || { tail -n 20 "$work/debootstrap.log" >&2; exit 1; }
    cp /etc/ssl/certs/ca-certificates.crt "$work/debian/etc/ssl/certs/ca-certificates.crt"
    container=$(with_buildah from scratch)
    with_buildah add --quiet "$container" "$work/debian" / >/dev/null
    base=localhost/svmixer-base
    with_buildah commit --quiet --rm "$container" "$base" >/dev/null
    rm -rf "$work/debian"
fi

say "image: tools/docker/Dockerfile, VARIANT=cpu"
options=(--network host --build-arg VARIANT=cpu --build-arg "BASE=$base" --ignorefile "$root/tools/docker/Dockerfile.dockerignore")
[ -z "$pip_conf" ] || options+=(--secret "id=pip_conf,src=$pip_conf")
with_buildah build --file "$root/tools/docker/Dockerfile" "${options[@]}" --tag svmixer:cpu "$root"

container=$(with_buildah from svmixer:cpu)
# within COMMAND ...: runs it in the image as its user, in that user's home.
within() { with_buildah run --network host "$container" -- "$@"; }

say "mini_an4"
within /opt/svmixer/egs/mini_an4/sv1/run.sh
within cat exp/mini_an4/RESULTS.md
say "svmixer verify"
mapfile -t recordings < <(within find downloads -name '*.sph' | sort | head -n 2)
verdict=$(within svmixer verify "${recordings[@]}")
echo "$verdict"
[[ $verdict =~ ^(one speaker|two speakers):\ cosine\ -?[0-9.]+ ]] || stop "this is no verdict"
[ "$(within id -u)" = 1000 ] || stop "the image does not run as its own user"
within test ! -e /etc/pip.conf || stop "the image has kept pip.conf"
within test ! -e /opt/svmixer/.git || stop "the image has the history"
say "passed"
