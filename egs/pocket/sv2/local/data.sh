#!/usr/bin/env bash
# Data of pocket2: the full set of voices from Debian's archive, utterances of LibriSpeech and speechocean762, noise, music, rooms.
#
# Writes data/{train,valid,test,rirs,noise,music}, and data/resemblyzer, a link to that package. Run it in the work directory.
set -euo pipefail
recipe=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# shellcheck disable=SC1091  # found through the folder of this file
. "$recipe/../../../path.sh"

# Folder with the utterances of conf/librispeech_train.txt, such as LibriSpeech/train-clean-100.
librispeech=
# Folder with those of conf/speechocean762_train.txt and speechocean762_valid.txt, as the unpacked corpus.
speechocean762=
# Folder of recordings of noise without speech, such as ESC-50 or the noise of MUSAN; all are taken.
noise_dir=
# Folder of recordings of music, such as that of MUSAN.
music_dir=
# Wheel or unpacked folder of the package Resemblyzer; empty: pip downloads the wheel.
resemblyzer=
# Folder that receives the data directories.
data_dir=data
# Folder of Debian packages that are unpacked already; without it they are downloaded.
corpus_dir=
# Folder for packages and for what was measured on them.
download_dir=downloads
# Room impulse responses to simulate; 0 for none.
rirs=200
# Sets to make, separated by blanks, as run.sh passes them. Empty: all.
sets=
# Parallel processes.
nj=2
# shellcheck disable=SC1091
. "$SVMIXER_ROOT/tools/parse_options.sh"

stop() {
    echo "${0##*/}: $*" >&2
    exit 1
}
# add_speech SET FOLDER PREFIX LIST ORIGIN: the utterances of conf/LIST, found below FOLDER.
add_speech() {
    python "$recipe/../sv1/local/add_speech.py" --corpus_dir "$2" --prefix "$3" --data_dir "$data_dir/$1" \
        --utterances "$recipe/conf/$4" --origin "$5"
}
wanted() { [[ " ${sets:-$1} " == *" $1 "* ]]; }

if { wanted train && [ -z "$librispeech" ]; } || { { wanted train || wanted valid; } && [ -z "$speechocean762" ]; }; then
    stop "--local_data_opts '--librispeech DIR --speechocean762 DIR --noise_dir DIR --music_dir DIR' names the corpora:" \
        "https://www.openslr.org/12 (train-clean-100), https://www.openslr.org/101, and https://www.openslr.org/17 (MUSAN)"
fi
if wanted train || wanted valid || wanted test || wanted rirs; then
    "$recipe/../../debian_voices/sv1/local/data.sh" --voices full --data_dir "$data_dir" --corpus_dir "$corpus_dir" \
        --download_dir "$download_dir" --rirs "$rirs" --sets "$sets" --nj "$nj"
fi
if wanted train; then
    add_speech train "$librispeech" libri librispeech_train.txt "train-clean-100, https://www.openslr.org/12"
    add_speech train "$speechocean762" so speechocean762_train.txt "speechocean762, https://www.openslr.org/101"
fi
if wanted valid; then
    rm -rf "$data_dir/valid"
    add_speech valid "$speechocean762" so speechocean762_valid.txt "speechocean762, https://www.openslr.org/101"
    svmixer make_trials --data_dir "$data_dir/valid"
fi
# list_recordings SET FOLDER: a set of all recordings below a folder.
list_recordings() {
    wanted "$1" || return 0
    [ -d "$2" ] || stop "--${1}_dir: there is no folder '$2' (in --local_data_opts)"
    mkdir -p "$data_dir/$1"
    find -L "$2" -type f \( -iname '*.wav' -o -iname '*.flac' -o -iname '*.opus' -o -iname '*.ogg' \) | LC_ALL=C sort |
        awk -v name="$1" '{ printf "%s-%05d %s\n", name, NR, $0 }' >"$data_dir/$1/wav.scp.tmp"
    [ -s "$data_dir/$1/wav.scp.tmp" ] || stop "--${1}_dir: no .wav, .flac, .opus or .ogg file in $2"
    mv "$data_dir/$1/wav.scp.tmp" "$data_dir/$1/wav.scp"
}
list_recordings noise "$noise_dir"
list_recordings music "$music_dir"
if wanted train; then
    if [ -z "$resemblyzer" ]; then
        python -m pip download --quiet --no-deps --only-binary :all: --dest "$download_dir" resemblyzer ||
            stop "pip cannot download the package resemblyzer (see above): give its wheel or folder with --resemblyzer"
        resemblyzer=$(find "$download_dir" -iname 'resemblyzer-*.whl' | head -n 1)
    fi
    ln -sfn "$(realpath "$resemblyzer")" "$data_dir/resemblyzer"
fi
