#!/usr/bin/env bash
# Start a recipe for your own recordings: copy egs/TEMPLATE/sv1 to egs/NAME/sv1. Usage: tools/new_recipe.sh NAME
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# shellcheck source=tools/parse_options.sh
. "$root/tools/parse_options.sh"
[ $# -eq 1 ] || { echo "Usage: new_recipe.sh NAME" >&2; exit 1; }
name=$1

if ! [[ $name =~ ^[A-Za-z0-9][A-Za-z0-9_-]*$ ]]; then
    echo "new_recipe.sh: '$name' cannot name a recipe: letters, digits, _ and - only" >&2
    exit 1
fi
target=$root/egs/$name
if [ -e "$target" ]; then
    echo "new_recipe.sh: $target exists already" >&2
    exit 1
fi
# Copied under another name first, so that an interrupted copy is never taken for a recipe.
unfinished=$root/egs/.$name.$$
trap 'rm -rf "$unfinished"' EXIT
cp -R "$root/egs/TEMPLATE" "$unfinished"
mv "$unfinished" "$target"

cat <<EOF
$target/sv1 is ready. Next:
  1. put wav.scp and utt2spk into egs/$name/sv1/lists/ (docs/own_data.md)
  2. cd egs/$name/sv1 && ./run.sh
EOF
