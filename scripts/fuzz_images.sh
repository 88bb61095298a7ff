#!/usr/bin/env bash
# Fuzzes the picture decoders and what prepares their pictures, with ASan, UBSan and leak checks: scripts/fuzz_images.sh [SECONDS PER TARGET, 60]
# Starts from the test images and keeps what it learns in build/fuzz/corpus. A finding ends it with the input's path in build/fuzz.
# shellcheck source=scripts/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
cd "$root"
seconds="${1:-60}"
require "${packages_build[@]}" clang-14 libclang-rt-14-dev
build fuzz --target fuzz_jpeg fuzz_png fuzz_webp_bmp

export ASAN_OPTIONS=detect_leaks=1:allocator_may_return_null=1 UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1
fuzz() { # NAME PATTERN...
    local name="$1" pattern
    shift
    mkdir -p "build/fuzz/corpus/$name"
    for pattern in "$@"; do
        find tests/data/images -name "$pattern" -size -16k -exec cp -n {} "build/fuzz/corpus/$name/" \;
    done
    # 1 s and 64 MiB + 8 x input, over what the process and its sanitizers hold.
    "build/fuzz/bin/fuzz_$name" -max_total_time="$seconds" -max_len=16384 -timeout=10 -rss_limit_mb=1024 -malloc_limit_mb=65 -print_final_stats=1 \
        -artifact_prefix="build/fuzz/$name-" "build/fuzz/corpus/$name" 2>"build/fuzz/$name.log" || {
        tail -n 40 "build/fuzz/$name.log" >&2
        fail "expected no finding in $name; its input is build/fuzz/$name-*"
    }
    say "$name: $(sed -n 's/^stat::number_of_executed_units: *//p' "build/fuzz/$name.log") executions, no finding"
}
fuzz jpeg '*.jpg'
fuzz png '*.png'
fuzz webp_bmp '*.webp' '*.bmp'
