#!/usr/bin/env bash
# Start a recipe for your own recordings from egs/TEMPLATE/sv1. Usage: tools/new_recipe.sh NAME [--dir DIR] [--audio_dir DIR]
#
#   tools/new_recipe.sh birds                                         egs/birds/sv1 of this checkout
#   tools/new_recipe.sh birds --dir ~/birds --audio_dir /recordings   ~/birds, with lists of the recordings
set -euo pipefail

# Folder to make the recipe in, outside the checkout, which is only read; run.sh there writes data, dump and exp beside itself.
# Empty: egs/NAME/sv1 of the checkout.
dir=
# Folder with a folder of recordings for each speaker, whose lists are written into lists/ of the recipe; empty: none.
audio_dir=
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
words=("$@")
# The name may come before the options or behind them.
if [[ ${1:-} =~ ^[^-] ]]; then set -- "${@:2}" "$1"; fi
# shellcheck source=tools/parse_options.sh
. "$root/tools/parse_options.sh"
[ $# -eq 1 ] || option_error "Usage: new_recipe.sh NAME [--dir DIR] [--audio_dir DIR], found: $(quoted "${words[@]}")"
name=$1

fail() {
    echo "new_recipe.sh: $*" >&2
    exit 1
}
[[ $name =~ ^[A-Za-z0-9][A-Za-z0-9_-]*$ ]] || fail "'$name' cannot name a recipe: letters, digits, _ and - only"
[ -z "$audio_dir" ] || [ -d "$audio_dir" ] || fail "--audio_dir: there is no folder $audio_dir (looked for it in $PWD)"

template=$root/egs/TEMPLATE
recipe=$root/egs/$name/sv1
target=$root/egs/$name
if [ -n "$dir" ]; then
    target=$(realpath -m "$dir")
    [[ $target/ != "$(realpath "$root")"/* ]] || fail "$dir lies in the checkout $root: leave --dir out for egs/$name/sv1"
    template=$root/egs/TEMPLATE/sv1
    recipe=$target
    # An empty folder is as good as none.
    [ ! -d "$target" ] || [ -n "$(ls -A "$target")" ] || rmdir "$target"
fi
[ ! -e "$target" ] || fail "$target exists already"
mkdir -p "$(dirname "$target")"

# Made under another name first, so that an interrupted copy is never taken for a recipe.
unfinished=$(dirname "$target")/.$(basename "$target").$$
trap 'rm -rf "$unfinished"' EXIT
cp -R "$template" "$unfinished"
# The checkout may be one that its user cannot write.
chmod -R u+w "$unfinished"
lists=$unfinished/sv1/lists
if [ -n "$dir" ]; then
    lists=$unfinished/lists
    # set_line FILE NAME VALUE: the line `NAME=…` of a file.
    set_line() {
        name=$2 value=$(printf %q "$3") awk '
            index($0, ENVIRON["name"] "=") == 1 { $0 = ENVIRON["name"] "=" ENVIRON["value"] }
            { print }' "$1" >"$1.new"
        # Its mode stays.
        cat "$1.new" >"$1"
        rm "$1.new"
    }
    set_line "$unfinished/path.sh" _project "$root"
    set_line "$unfinished/run.sh" corpus "$name"
fi
if [ -n "$audio_dir" ]; then
    "$root/tools/setup.sh"
    (
        . "$root/path.sh"
        python -m svmixer make_data_dir --audio_dir "$(realpath "$audio_dir")" --data_dir "$lists"
    )
fi
mv "$unfinished" "$target"

echo "$recipe is ready. Next:"
if [ -z "$audio_dir" ]; then
    echo "  put wav.scp and utt2spk into $(quoted "$recipe/lists") (docs/own_data.md), or name a folder with a folder for each speaker:"
    echo "  --local_data_opts \"--audio_dir DIR\""
fi
echo "  cd $(quoted "$recipe") && ./run.sh"
