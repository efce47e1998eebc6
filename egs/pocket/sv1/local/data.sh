#!/usr/bin/env bash
# Data of pocket: the full set of voices from Debian's archive, and one utterance each of 251 LibriSpeech speakers.
#
# Writes what the recipe debian_voices writes, with the LibriSpeech utterances in the training set. Run it in the work directory.
set -euo pipefail
recipe=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# shellcheck disable=SC1091  # found through the folder of this file
. "$recipe/../../../path.sh"

# Folder with the utterances of conf/librispeech_utts.txt as FLAC or WAV files, such as LibriSpeech/train-clean-100; none: without
# them.
librispeech=
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

if [ -z "$librispeech" ] && [[ " ${sets:-train} " == *" train "* ]]; then
    echo "${0##*/}: 251 utterances of LibriSpeech train-clean-100 are part of the training data: get it from" \
        "https://www.openslr.org/12, then --local_data_opts '--librispeech LibriSpeech/train-clean-100';" \
        "--librispeech none trains without them" >&2
    exit 1
fi
"$recipe/../../debian_voices/sv1/local/data.sh" --voices full --data_dir "$data_dir" --corpus_dir "$corpus_dir" \
    --download_dir "$download_dir" --rirs "$rirs" --sets "$sets" --nj "$nj"
if [ -n "$librispeech" ] && [ "$librispeech" != none ]; then
    python "$recipe/local/add_speech.py" --corpus_dir "$librispeech" --prefix libri --data_dir "$data_dir/train" \
        --utterances "$recipe/conf/librispeech_utts.txt" --origin "train-clean-100, https://www.openslr.org/12"
fi
