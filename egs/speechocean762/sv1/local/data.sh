#!/usr/bin/env bash
# speechocean762 (OpenSLR 101) as data directories: download, unpack, lists and trials; simulated rooms for augmentation.
#
# Writes data/{train,valid,test}/{wav.scp,utt2spk,spk2utt,spk2gender,spk2agegroup[,trials]} and data/rirs/wav.scp. The archive (520 MB)
# and what is unpacked stay in downloads/; an interrupted download is continued. Run it in the work directory.
set -euo pipefail
recipe=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# shellcheck disable=SC1091  # found through the folder of this file
. "$recipe/../../../path.sh"

# Folder with the unpacked corpus (WAVE, train and test), instead of an archive.
corpus_dir=
# Archive of the corpus (speechocean762.tar.gz); empty: downloaded.
archive=
# Where it is downloaded; OpenSLR has mirrors.
url=https://www.openslr.org/resources/101/speechocean762.tar.gz
# SHA-256 that the archive must have; empty: it is not compared, the counts of the corpus are.
sha256=
# Table of speakers and their sets; without it conf/speakers.tsv of the recipe. With your own, the counts are not compared.
speakers=
# Folder that receives the data directories.
data_dir=data
# Folder for the archive and what is unpacked from it.
download_dir=downloads
# Room impulse responses to simulate; 0 for none.
rirs=200
# Sets to make, separated by blanks, as run.sh passes them; rooms are simulated only if rirs is among them. Empty: all.
sets=
# Parallel processes.
nj=2
# shellcheck disable=SC1091
. "$SVMIXER_ROOT/tools/parse_options.sh"

require_int 1 nj
require_int 0 rirs

stop() {
    echo "${0##*/}: $*" >&2
    exit 1
}

# Download $url as $1; what an interrupted run left is continued, and only a complete file has the name.
fetch() {
    command -v curl >/dev/null || stop "curl is not on this machine: download $url and give it with --archive FILE"
    echo "downloading $url (520 MB) into $download_dir"
    curl --fail --location --silent --show-error --retry 5 --continue-at - --output "$1.partial" "$url" ||
        stop "$url could not be downloaded (see above). Run this again to continue, take a mirror with --url, or fetch the" \
            "file elsewhere and give it with --archive FILE"
    mv "$1.partial" "$1"
}

# Unpack archive $1 as $2; the file `.done` says that it is complete.
unpack() {
    [ ! -e "$2/.done" ] || return 0
    if [ -n "$sha256" ]; then
        echo "$sha256  $1" | sha256sum --check --quiet - || stop "$1 is not the file that --sha256 names"
    fi
    echo "unpacking $1 into $2"
    rm -rf "$2" "$2.tmp"
    mkdir -p "$2.tmp"
    tar -xzf "$1" -C "$2.tmp" --strip-components 1 ||
        stop "$1 cannot be unpacked; if it was downloaded, remove it and run this again"
    touch "$2.tmp/.done"
    mv "$2.tmp" "$2"
}

if [ -z "$corpus_dir" ]; then
    corpus_dir=$download_dir/speechocean762
    if [ -n "$archive" ]; then
        [ -f "$archive" ] || stop "no such archive: $archive"
        # It may be another one than the last time.
        rm -f "$corpus_dir/.done"
    else
        archive=$download_dir/speechocean762.tar.gz
        mkdir -p "$download_dir"
        [ -e "$corpus_dir/.done" ] || [ -f "$archive" ] || fetch "$archive"
    fi
    unpack "$archive" "$corpus_dir"
fi
echo "licence of the recordings: CC BY 4.0, https://www.openslr.org/101"
complete=false
if [ -z "$speakers" ]; then
    speakers=$recipe/conf/speakers.tsv
    complete=true
fi
python "$recipe/local/prepare_lists.py" --corpus_dir "$corpus_dir" --data_dir "$data_dir" --speakers "$speakers" \
    --complete "$complete"
if [ "$rirs" -gt 0 ] && [[ " ${sets:-rirs} " == *" rirs "* ]]; then
    python "$SVMIXER_ROOT/egs/debian_voices/sv1/local/simulate_rirs.py" --output_dir "$data_dir/rirs" --num "$rirs" --nj "$nj"
fi
