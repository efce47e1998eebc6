#!/usr/bin/env bash
# Fetch what the tests in a browser need besides the environment of tools/setup.sh: Node, Chromium and onnxruntime-web. What is there
# is left alone, and no network is needed then. Status 1 if something is missing at the end; the tests that need it are skipped.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

. "$root/tools/parse_options.sh"
[ $# -eq 0 ] || { echo "setup_browser.sh: unexpected argument '$1' (see --help)" >&2; exit 1; }
. "$root/tools/apt.sh"

say() { echo "[browser] $*" >&2; }
has() { command -v "$1" >/dev/null 2>&1; }

missing_packages() {
    has node || echo nodejs
    has npm || [ -f "$root/svmixer/demo/vendor/ort.wasm.min.mjs" ] || echo npm
    has chromium || has chromium-browser || has google-chrome || echo chromium
}

mapfile -t packages < <(missing_packages)
failed=false
if [ ${#packages[@]} -gt 0 ]; then
    say "installing through apt: ${packages[*]}"
    install_packages "${packages[@]}" || { say "not installed: ${packages[*]}"; failed=true; }
fi
# A network that does not answer shall not hold up the tests.
export npm_config_fetch_retries=0 npm_config_fetch_timeout=60000
bash "$root/tools/vendor_web.sh" >&2 || { say "onnxruntime-web was not fetched"; failed=true; }
[ "$failed" = false ] || exit 1
say "Node, Chromium and onnxruntime-web are there"
