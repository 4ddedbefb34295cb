#!/usr/bin/env bash
# Takes docs/report.png, the picture in README.md: the first screen of the report of the examples.
#
#   picture.sh BINARY
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
binary=$(realpath "$1")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
(cd "$here" && npm ci --silent --no-audit --no-fund)
cd "$here/../.."
"$binary" mix --input examples/step_02 --output "$work/out" --tokenizer-model builtin --cut-sizes 2,4,8 --quiet \
    --max-seq-len 400 --effective-batch-size 32 --epochs 3 >/dev/null 2>&1
node "$here/picture.mjs" "$work/out/report.html" docs/report.png
echo "docs/report.png: $(stat --format %s docs/report.png) bytes"
