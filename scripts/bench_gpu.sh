#!/usr/bin/env bash
# The CUDA backend on this machine's card, in under ten minutes, with nothing installed but a driver: what the card costs (read bandwidth, launch, barrier), the op suite,
# then decode and prefill of true shapes with random weights. Prints tables, writes OUT/bench.json and OUT/suite.log.
#
#   bench_gpu.sh [--bin DIR] [--out DIR] [--device N] [--shapes NAME,NAME] [--quick] [--no-suite]
#   bench_gpu.sh --pack DIR          copies what it needs from a build into DIR, which can then be carried to another machine
#   bench_gpu.sh --self-test PROGRAM checks itself with gpu_bench_emulated (tests)
#
# Built by: cmake --preset release -DKINGLET_TESTS=ON && cmake --build build/release --target gpu_bench test_cuda kinglet_cuda     (needs nvcc, and no card)
# Ends with 2 for wrong arguments or missing programs, 3 where there is no card, 1 where something failed.
set -uo pipefail

here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
bin="" out="bench_gpu.out" suite=1 pack="" self_test=""
options=()

die() {
    printf 'bench_gpu.sh: error: %s\n' "$2" >&2
    exit "$1"
}

while [ $# -gt 0 ]; do
    case "$1" in
        --quick) options+=(--quick --repeats 2) ;;
        --no-suite) suite=0 ;;
        --bin | --out | --device | --shapes | --pack | --self-test)
            [ $# -ge 2 ] || die 2 "expected a value behind $1"
            case "$1" in
                --bin) bin="$2" ;;
                --out) out="$2" ;;
                --pack) pack="$2" ;;
                --self-test) self_test="$2" ;;
                *) options+=("$1" "$2") ;;
            esac
            shift
            ;;
        *) die 2 "unknown argument $1" ;;
    esac
    shift
done

# The measuring program against the emulated card: its arguments, what it says without a card, and that its JSON is what it printed.
check_itself() {
    local program="$1" folder code
    [ -x "$program" ] || die 2 "expected a program: $program"
    folder="$(mktemp -d)" || exit 1
    # shellcheck disable=SC2064
    trap "rm -rf '$folder'" EXIT
    expect() { # CODE TEXT ARGUMENTS...: it ends with CODE and says TEXT
        local wanted="$1" text="$2"
        shift 2
        code=0
        "$program" "$@" >"$folder/said" 2>&1 || code=$?
        [ "$code" = "$wanted" ] && grep -q -e "$text" "$folder/said" && return
        cat "$folder/said" >&2
        die 1 "expected exit status $wanted and \"$text\" from $program $*, got $code"
    }
    expect 2 'unknown argument --what' --what
    expect 2 'expected a value behind --json' --json
    expect 2 'expected a number up to 1000, not x' --device x
    expect 2 'no such shape: GPT-9' --shapes tiny,GPT-9 --emulated
    expect 3 'there are only 1' --device 7 --emulated
    [ -e /dev/nvidia0 ] || expect 3 'expected a card to run on' --shapes tiny
    code=0
    "$program" --emulated --quick --repeats 1 --shapes tiny --json "$folder/out.json" >"$folder/said" 2>&1 || code=$?
    grep -q '^read .* GB/s$' "$folder/said" || die 1 "expected the read bandwidth, got: $(cat "$folder/said")"
    grep -q '^{"card": "emulated GPU", "read_bytes_per_second": [0-9.e+]*, .*"name": "tiny", ' "$folder/out.json" || die 1 "expected JSON, got: $(cat "$folder/out.json")"
    if grep -q '"not_run": null' "$folder/out.json"; then
        if [ "$code" != 0 ] || ! grep -q '^tiny  *decode  *1  *0 ' "$folder/said"; then
            die 1 "expected decode of the tiny shape, got: $(cat "$folder/said")"
        fi
    else
        if [ "$code" != 1 ] || ! grep -q 'not run: ' "$folder/said"; then
            die 1 "expected the reason why the tiny shape was not run, got: $(cat "$folder/said")"
        fi
        echo "the tiny shape was not run: $(sed -n 's/.*"not_run": "\([^"]*\)".*/\1/p' "$folder/out.json")"
    fi
    echo "bench_gpu.sh: the measuring program is in order on the emulation"
}

if [ -n "$self_test" ]; then
    check_itself "$self_test"
    exit 0
fi

if [ -z "$bin" ]; then
    bin="$here"
    [ -x "$bin/gpu_bench" ] || bin="$here/../build/release/bin"
fi
module=""
for each in "$bin/libkinglet_cuda.so" "$bin/../lib/kinglet/libkinglet_cuda.so"; do
    [ -e "$each" ] && module="$each" && break
done
cases="$bin/cases"
[ -e "$cases/ops/cases.txt" ] || cases="$here/../tests"

if [ -n "$pack" ]; then
    [ -n "$module" ] || die 2 "expected libkinglet_cuda.so in $bin"
    mkdir -p "$pack/cases/ops" || exit 1
    if ! cp "$bin/gpu_bench" "$bin/test_cuda" "$module" "$here/bench_gpu.sh" "$pack/" || ! cp "$cases/ops/cases.txt" "$pack/cases/ops/"; then
        die 2 "expected gpu_bench and test_cuda in $bin"
    fi
    echo "packed into $pack: carry it to the machine and run bench_gpu.sh there"
    exit 0
fi

[ -x "$bin/gpu_bench" ] || die 2 "expected gpu_bench in $bin (--bin DIR says where; the head of this script says how it is built)"
mkdir -p "$out" || exit 1
began=$SECONDS
left() { # what is left of ten minutes, at most $1
    local rest=$((580 - SECONDS + began))
    [ "$rest" -gt "$1" ] && rest="$1"
    [ "$rest" -lt 1 ] && rest=1
    echo "$rest"
}

failed=0
timeout "$(left 300)" "$bin/gpu_bench" --json "$out/bench.json" ${options[@]+"${options[@]}"} | tee "$out/bench.txt"
code=${PIPESTATUS[0]}
case "$code" in
    0) ;;
    2 | 3) exit "$code" ;;
    *) failed=1 ;;
esac
[ "$code" = 124 ] && echo "bench_gpu.sh: the measurements took longer than they may: what is above is what there was time for" >&2

if [ "$suite" = 1 ]; then
    if [ -z "$module" ] || [ ! -x "$bin/test_cuda" ]; then
        echo "the op suite is not run: it needs test_cuda and libkinglet_cuda.so in $bin"
        failed=1
    else
        KINGLET_TEST_CUDA_MODULE="$module" KINGLET_TEST_DATA="$cases" timeout "$(left 270)" "$bin/test_cuda" --gtest_filter='*CudaCase.*:CudaBits.AreTheSame*:CudaBits.Sample*' \
            >"$out/suite.log" 2>&1
        code=$?
        [ "$code" = 0 ] || failed=1
        printf '\nop suite  %s passed, %s refused, %s failed%s; %s\n' "$(grep -c '^\[       OK' "$out/suite.log")" "$(grep -c '^\[  SKIPPED' "$out/suite.log")" \
            "$(grep -c '^\[  FAILED  \].*ms)$' "$out/suite.log")" "$([ "$code" = 124 ] && echo ', then its time was over')" "$out/suite.log"
    fi
fi
echo "results in $out, $((SECONDS - began)) seconds"
exit "$failed"
