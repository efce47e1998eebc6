#!/usr/bin/env bash
# Voices from Debian's main archive as data directories: download, unpack, lists and trials; simulated rooms for augmentation.
#
# Writes data/{train,valid,test}/{wav.scp,parts,utt2spk,spk2utt,spk2gender,spk2lang[,trials]}, data/rirs/wav.scp, and
# data/local/skipped.tsv (files left out, with the reason). Packages and what was measured on them stay in downloads/, so
# another run is fast. There is no list of noises: babble is mixed from the training speakers and coloured noise is
# generated while training. Run it in the work directory.
set -euo pipefail
recipe=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# shellcheck disable=SC1091  # found through the folder of this file
. "$recipe/../../../path.sh"

# Which voices: compact (162 MB to download), fillets (234 MB) or full (395 MB).
voices=compact
# Folder that receives the data directories.
data_dir=data
# Folder of packages that are unpacked already (DIR/<package>/usr/share/… or DIR/usr/share/…); without it they are downloaded.
corpus_dir=
# Folder for packages and for what was measured on them.
download_dir=downloads
# Table of voices; without it conf/voices.tsv of the recipe.
table=
# Utterances kept of a valid or test speaker.
max_utts=20
# Room impulse responses to simulate; 0 for none.
rirs=200
# Sets to make, separated by blanks, as run.sh passes them; rooms are simulated only if rirs is among them. Empty: all.
sets=
# Parallel processes.
nj=2
# shellcheck disable=SC1091
. "$SVMIXER_ROOT/tools/parse_options.sh"

require_int 1 nj
require_int 2 max_utts
require_int 0 rirs
table=${table:-$recipe/conf/voices.tsv}

# Print the packages among "$@" that are not unpacked yet.
missing_packages() {
    local package
    for package in "$@"; do
        [ -e "$download_dir/packages/$package/.done" ] || echo "$package"
    done
}

# Fetch all of "$@"; the status says whether apt knew and delivered all of them.
fetch_packages() {
    printf '%s\n' "$@" | xargs -n 1 -P "$nj" "$recipe/local/fetch_package.sh" "$download_dir"
}

stop_without_apt() {
    cat >&2 <<EOF
${0##*/}: apt-get is not on this machine, and the voices are Debian packages. On any Debian or Ubuntu machine, without root:
    apt-get download $*; mkdir -p corpus
    for deb in *.deb; do dpkg-deb -x "\$deb" "corpus/\${deb%%_*}"; done
Then copy the folder here and give it with --corpus_dir corpus.
EOF
    exit 1
}

download_corpus() {
    local missing
    mapfile -t missing < <(missing_packages "$@")
    [ ${#missing[@]} -gt 0 ] || return 0
    command -v apt-get >/dev/null || stop_without_apt "${missing[@]}"
    mkdir -p "$download_dir"
    echo "downloading ${#missing[@]} of $# packages into $download_dir"
    if ! fetch_packages "${missing[@]}"; then
        mapfile -t missing < <(missing_packages "$@")
        if [ "$(id -u)" != 0 ]; then
            echo "${0##*/}: apt could not deliver ${missing[*]} (see above); if its lists are old or empty, run" \
                "'apt-get update' as root (sudo apt-get update), then this again" >&2
            exit 1
        fi
        echo "apt could not deliver ${missing[*]}: updating its lists"
        apt-get -qq update
        fetch_packages "${missing[@]}" || {
            mapfile -t missing < <(missing_packages "$@")
            echo "${0##*/}: apt could not deliver ${missing[*]}, also after 'apt-get update' (see above)" >&2
            exit 1
        }
    fi
}

# Print the root folder of package $1 below $corpus_dir, in either layout.
root_of() {
    if [ -d "$corpus_dir/$1/usr/share" ]; then
        echo "$corpus_dir/$1"
    else
        echo "$corpus_dir"
    fi
}

listed=$(python "$recipe/local/corpus.py" "$table" "$voices")
mapfile -t packages <<<"$listed"
if [ -z "$corpus_dir" ]; then
    download_corpus "${packages[@]}"
    corpus_dir=$download_dir/packages
fi
echo "licences of the recordings:"
for package in "${packages[@]}"; do
    echo "    $(root_of "$package")/usr/share/doc/$package/copyright"
done
python "$recipe/local/prepare_lists.py" --table "$table" --voices "$voices" --corpus_dir "$corpus_dir" \
    --data_dir "$data_dir" --cache_dir "$download_dir" --max_utts "$max_utts" --nj "$nj"
if [ "$rirs" -gt 0 ] && [[ " ${sets:-rirs} " == *" rirs "* ]]; then
    python "$recipe/local/simulate_rirs.py" --output_dir "$data_dir/rirs" --num "$rirs" --nj "$nj"
fi
