#!/usr/bin/env bash
# Tables I and II at the scale of the default recipe, 14 runs as long as the default one. All options of tools/run_tables.sh can
# follow: --only table1, --dry_run true.
set -euo pipefail

recipe=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

exec "$recipe/../../../tools/run_tables.sh" --recipe "$recipe" --output docs/tables.md \
    --distill_config conf/train_distill.yaml --train_config conf/train_speaker.yaml "$@"
