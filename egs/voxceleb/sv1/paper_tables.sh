#!/usr/bin/env bash
# The paper's Tables I to IV and Figure 5 on VoxCeleb, run by run; --only table1, --dry_run true and the other options of tools/run_tables.sh can follow.
set -euo pipefail

recipe=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

exec "$recipe/../../../tools/run_tables.sh" --recipe "$recipe" --ngpu 1 --nj 8 "$@"
