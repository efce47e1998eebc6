#!/usr/bin/env bash
# Tables I and II at the scale of the default recipe, about two hours on two cores, run by run; --only table1, --dry_run true and the other options of tools/run_tables.sh can follow.
set -euo pipefail

recipe=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

exec "$recipe/../../../tools/run_tables.sh" --recipe "$recipe" --output docs/tables.md "$@"
