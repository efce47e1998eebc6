#!/usr/bin/env bash
# The five AN4 speakers that come inside ESPnet's package as data directories, with noises and room impulse responses.
#
# Writes data/{train,valid,test}/{wav.scp,utt2spk,spk2utt,spk2gender[,segments,trials]}, data/noise/wav.scp and
# data/rirs/wav.scp. The archive comes from the installed espnet. If that is older than 202611, the first release that has it,
# the wheel of espnet 202611 (4.5 MB) is downloaded with pip; nothing of it is installed. Run it in the work directory.
set -euo pipefail
recipe=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# shellcheck disable=SC1091  # found through the folder of this file
. "$recipe/../../../path.sh"

# Archive of the corpus (downloads.tar.gz); empty: ESPnet's, as described above.
archive=
# Folder with the unpacked corpus (an4, noise and rirs), instead of an archive.
corpus_dir=
# Folder that receives the data directories.
data_dir=data
# Folder for the archive and what is unpacked from it; a wheel of espnet that is there is used.
download_dir=downloads
# Parallel jobs: every recipe has this option, but here is too little to do for two.
nj=1
# shellcheck disable=SC1091
. "$SVMIXER_ROOT/tools/parse_options.sh"

require_int 1 nj
: "$nj"
release=202611

stop() {
    echo "${0##*/}: $*" >&2
    exit 1
}

# Print the wheel in the download folder; nothing if there is none.
find_wheel() {
    find "$download_dir" -maxdepth 1 -name "espnet-$release-*.whl" | sort | tail -n 1
}

# Any Python may download the wheel, also one that could not install it. An interrupted download is continued if pip can, and
# only a complete wheel leaves the partial folder.
fetch_wheel() {
    local partial=$download_dir/.partial-espnet
    rm -rf "$partial"
    mkdir -p "$partial"
    echo "downloading the wheel of espnet $release into $download_dir"
    PIP_RESUME_RETRIES=5 python -m pip --disable-pip-version-check download -q --progress-bar off --no-deps \
        --only-binary :all: --python-version 3.12 --dest "$partial" "espnet==$release" || return
    mv "$partial"/*.whl "$download_dir/"
    rmdir "$partial"
}

# Put ESPnet's archive into the download folder, as mini_an4.tar.gz.
take_archive() {
    local output=$1 status=0
    python "$recipe/local/take_archive.py" --output "$output" || status=$?
    [ "$status" -ne 0 ] || return 0
    # Any other status does not mean that the archive is elsewhere.
    [ "$status" -eq 3 ] || exit "$status"
    [ -n "$(find_wheel)" ] || fetch_wheel || stop "the wheel of espnet $release could not be downloaded (see above)." \
        "On a machine that reaches the package index:" \
        "pip download --no-deps --only-binary :all: --python-version 3.12 espnet==$release;" \
        "copy the .whl into $download_dir and run this again"
    python "$recipe/local/take_archive.py" --output "$output" --wheel "$(find_wheel)" ||
        stop "remove $(find_wheel) and run this again: it will be downloaded again"
}

# Unpack archive $1 as $2; what an earlier run unpacked is replaced.
unpack() {
    rm -rf "$2" "$2.tmp"
    mkdir -p "$2.tmp"
    tar -xzf "$1" -C "$2.tmp" --strip-components 1 || stop "$1 cannot be unpacked"
    mv "$2.tmp" "$2"
}

if [ -z "$corpus_dir" ]; then
    mkdir -p "$download_dir"
    if [ -z "$archive" ]; then
        archive=$download_dir/mini_an4.tar.gz
        take_archive "$archive"
    fi
    [ -f "$archive" ] || stop "no such archive: $archive"
    corpus_dir=$download_dir/mini_an4
    unpack "$archive" "$corpus_dir"
fi
echo "licence of the recordings: $corpus_dir/an4/LICENSE"
python "$recipe/local/prepare_lists.py" --corpus_dir "$corpus_dir" --data_dir "$data_dir"
