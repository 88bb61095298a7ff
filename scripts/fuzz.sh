#!/usr/bin/env bash
# Builds the fuzz targets (tests/fuzz) and runs each over the repository's own data as seeds; fails when one finds something.
#   scripts/fuzz.sh [SECONDS [TARGET...]]     60 seconds each by default; what was found lies in build/fuzz/findings, the corpora in build/fuzz/corpus
# shellcheck source=scripts/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
cd "$root"

seconds="${1:-60}"
[[ "$seconds" =~ ^[0-9]+$ ]] || fail "expected a number of seconds, got '$seconds'"
shift || true
require "${packages_build[@]}" "${packages_fuzz[@]}"
build fuzz

# Where a target's seeds are, if anywhere: a target without finds its own.
seeds() {
    case "$1" in
    gguf | model) printf '%s\n' tests/golden/models/{llama-q4_0,llama-q4_1,gemma3-q4_0}.gguf ;;
    jpeg) find tests/data/images -name '*.jpg' -size -16k ;;
    png) find tests/data/images -name '*.png' -size -16k ;;
    webp_bmp) find tests/data/images \( -name '*.webp' -o -name '*.bmp' \) -size -16k ;;
    chat_template) printf '%s\n' tests/data/chat_templates/*.jinja ;;
    esac
}

export ASAN_OPTIONS=allocator_may_return_null=1
export UBSAN_OPTIONS=print_stacktrace=1
mkdir -p build/fuzz/findings
failed=0
for program in build/fuzz/bin/fuzz_*; do
    target="${program##*/fuzz_}"
    [ $# -eq 0 ] || [[ " $* " == *" $target "* ]] || continue
    corpus="build/fuzz/corpus/$target"
    mkdir -p "$corpus"
    seeds "$target" | xargs --no-run-if-empty cp -t "$corpus"
    log="build/fuzz/$target.log"
    if "$program" -max_total_time="$seconds" -max_len=200000 -timeout=20 -rss_limit_mb=2048 -artifact_prefix="build/fuzz/findings/$target-" "$corpus" \
        >"$log" 2>&1; then
        say "fuzz $target: $(sed -n 's/^Done \([0-9]*\) runs.*/\1/p' "$log") runs, nothing found"
    else
        failed=1
        tail -n 40 "$log" >&2
        say "fuzz $target: FAILED, see $log"
    fi
done
exit "$failed"
