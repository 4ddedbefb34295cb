#!/usr/bin/env bash
# Mixes the examples and checks their reports in a real browser.
#
#   run.sh BINARY [SCREENSHOT_DIR]
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
binary=$(realpath "$1")
browser=${CHROMIUM:-/usr/bin/chromium}
if ! command -v node >/dev/null || ! [ -x "$browser" ]; then
    echo "SKIPPED: tests/browser: node or chromium not found; install them (apt-get install nodejs chromium)"
    [ "${CI:-}" != true ]
    exit
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
(cd "$here" && npm ci --silent --no-audit --no-fund)
cd "$here/../.."
training="--formats messages,tokens --max-seq-len 200 --max-tokens-per-gpu 4000 --effective-batch-size 16 --gpus 2 --epochs 2"
runs=0
for flags in "" "--recipe examples/recipes/everything.yaml" "$training" "--documents --raw-documents once --block-size 512" "--documents=only"; do
    # The flags are words without spaces.
    # shellcheck disable=SC2086
    "$binary" mix --input examples/step_02 --output "$work/out" --tokenizer-model builtin --quiet --cut-sizes 2,4,8 $flags
    node "$here/check.mjs" "$work/out/report.html" "$work/out/metrics.json" ${2:+"$2"}
    runs=$((runs + 1))
done
echo "browser: $runs passed, 0 failed"
