# shellcheck shell=bash
# Sourced by the scripts of this recipe: finds the project and its environment. In a recipe outside the project the line below has
# the project's place (tools/new_recipe.sh --dir); change it if the project moves.
_project=$(cd "$(dirname "${BASH_SOURCE[0]}")/../../.." && pwd)
if [ ! -f "$_project/path.sh" ]; then
    echo "${BASH_SOURCE[0]}: the project is not in $_project: write its place there" >&2
    return 1
fi
# shellcheck disable=SC1091  # found when it runs
. "$_project/path.sh"
unset _project
