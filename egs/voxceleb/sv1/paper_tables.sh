#!/usr/bin/env bash
# The paper's Tables I to IV and Figure 5 on VoxCeleb, run by run. All options of tools/run_tables.sh can follow: --only table1,
# --dry_run true.
set -euo pipefail

recipe=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

exec "$recipe/../../../tools/run_tables.sh" --recipe "$recipe" --ngpu 1 --nj 8 "$@"
