#!/usr/bin/env bash
# The CUDA backend on this machine's card, in under ten minutes, with nothing installed but a driver: what the card costs (read bandwidth, launch, barrier), decode and
# prefill of true shapes with random weights, the op suite and the goldens of all families, and a part of the op suite under each tool of compute-sanitizer where that is
# found (on the path, in CUDA's usual folder, beside this script). Prints tables, writes OUT/bench.json, OUT/suite.json and logs.
#
#   bench_gpu.sh [--bin DIR] [--out DIR] [--device N] [--shapes NAME,NAME] [--quick] [--no-bench] [--no-suite] [--no-sanitizer]
#   bench_gpu.sh --pack DIR          copies what it needs from a build into DIR, which can then be carried to another machine: it needs a driver there, bash and a C
#                                    library as new as the one it was built with, no compiler, no toolkit
#   bench_gpu.sh --self-test PROGRAM checks itself with gpu_bench_emulated (tests)
#
# Built by: cmake --preset release -DKINGLET_TESTS=ON && cmake --build build/release --target gpu_bench test_cuda kinglet_cuda     (needs nvcc, and no card)
# Ends with 2 for wrong arguments or missing programs, 3 where there is no card, 1 where something failed.
set -uo pipefail

here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
bin="" out="bench_gpu.out" bench=1 suite=1 sanitizer=1 pack="" self_test=""
options=()

die() {
    printf 'bench_gpu.sh: error: %s\n' "$2" >&2
    exit "$1"
}

while [ $# -gt 0 ]; do
    case "$1" in
        --quick) options+=(--quick --repeats 2) ;;
        --no-bench) bench=0 ;;
        --no-suite) suite=0 ;;
        --no-sanitizer) sanitizer=0 ;;
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
    check_whole "$program" "$folder"
    echo "bench_gpu.sh: the measuring program is in order on the emulation"
}

# The whole command, with the emulated card for a card, and stand-ins that say what they were called with for the suite and compute-sanitizer.
check_whole() {
    local program="$1" folder="$2" bin="$2/bin" out="$2/out"
    mkdir -p "$bin/cases/ops"
    touch "$bin/libkinglet_cuda.so" "$bin/cases/ops/cases.txt"
    printf '#!/bin/sh\nexec "%s" --emulated --shapes tiny "$@"\n' "$(readlink -f "$program")" >"$bin/gpu_bench"
    cat >"$bin/test_cuda" <<'END'
#!/bin/sh
echo "[       OK ] A (1 ms)"; echo "[  SKIPPED ] B (1 ms)"; echo "data $KINGLET_TEST_DATA"
exit "$SUITE_ENDS"
END
    cat >"$bin/compute-sanitizer" <<'END'
#!/bin/sh
echo "tool $2"
[ "$2" != "$TOOL_FINDS" ] || exit "$4"
shift 4
exec "$@"
END
    chmod +x "$bin"/*
    whole() { # CODE TEXT SUITE_ENDS TOOL_FINDS ARGUMENTS...: what is printed has the text
        local wanted="$1" text="$2" code=0
        SUITE_ENDS="$3" TOOL_FINDS="$4" "$here/bench_gpu.sh" --bin "$bin" --out "$out" --quick "${@:5}" >"$folder/said" 2>&1 || code=$?
        [ "$code" = "$wanted" ] && grep -q -e "$text" "$folder/said" && return
        cat "$folder/said" >&2
        die 1 "expected exit status $wanted and \"$text\" from bench_gpu.sh ${*:5}, got $code"
    }
    whole 0 '^op suite and goldens  1 passed, 1 refused, 0 failed; ' 0 none
    grep -q '^{"card": "emulated GPU"' "$out/bench.json" || die 1 "expected JSON, got: $(cat "$out/bench.json")"
    grep -q '^tiny  *decode  *1  *0 ' "$out/bench.txt" || die 1 "expected decode of the tiny shape, got: $(cat "$out/bench.txt")"
    grep -q "^data $bin/cases$" "$out/suite.log" || die 1 "expected the suite to be told where its data is, got: $(cat "$out/suite.log")"
    for each in memcheck racecheck initcheck synccheck; do
        grep -q "^tool $each$" "$out/$each.log" || die 1 "expected $each to have run"
    done
    whole 1 '^racecheck  FINDINGS: ' 0 racecheck --no-bench --no-suite
    whole 1 '^op suite and goldens  1 passed' 1 none --no-bench --no-sanitizer
    rm "$bin/test_cuda"
    whole 1 '^the op suite is not run' 0 none --no-bench
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
    mkdir -p "$pack/cases/ops" "$pack/cases/golden" "$pack/lib" || exit 1
    if ! cp "$bin/gpu_bench" "$bin/test_cuda" "$module" "$here/bench_gpu.sh" "$pack/" || ! cp "$cases/ops/cases.txt" "$pack/cases/ops/" ||
        ! cp -R "$cases/golden/models" "$cases/golden/vision" "$pack/cases/golden/"; then
        die 2 "expected gpu_bench and test_cuda in $bin"
    fi
    # The libraries that the programs are linked against, but for the C library's own, which belong to the machine.
    ldd "$bin/gpu_bench" "$bin/test_cuda" "$module" >"$pack/lib/ldd" || die 2 "expected ldd to list the libraries of the programs in $bin"
    ! grep 'not found' "$pack/lib/ldd" >&2 || die 2 "expected all libraries of the programs in $bin to be there"
    sed -n 's/.* => \(\/[^ ]*\) .*/\1/p' "$pack/lib/ldd" | sort -u | grep -v -E '/(ld-linux[^/]*|lib(c|m|dl|rt|pthread))\.so[.0-9]*$' |
        while read -r library; do cp -L "$library" "$pack/lib/" || exit 1; done || die 1 "expected to copy the libraries"
    rm "$pack/lib/ldd"
    echo "packed into $pack: carry it to the machine and run bench_gpu.sh there"
    exit 0
fi

[ ! -d "$bin/lib" ] || export LD_LIBRARY_PATH="$bin/lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"
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
if [ "$bench" = 1 ]; then
    timeout "$(left 300)" "$bin/gpu_bench" --json "$out/bench.json" ${options[@]+"${options[@]}"} | tee "$out/bench.txt"
    code=${PIPESTATUS[0]}
    case "$code" in
        0) ;;
        2 | 3) exit "$code" ;;
        *) failed=1 ;;
    esac
    [ "$code" = 124 ] && echo "bench_gpu.sh: the measurements took longer than they may: what is above is what there was time for" >&2
fi

export KINGLET_TEST_CUDA_MODULE="$module" KINGLET_TEST_DATA="$cases"
goldens='*/CudaFamilies.*:*/CudaVision.*:CudaModels.*' # and what the op cases do not reach
suite_tests="*/CudaCase.*:CudaBits.AreTheSame*:CudaBits.Sample*:CudaBits.OfAttention*:CudaDecodeBits.*:$goldens"
checker=""
if [ "$sanitizer" = 1 ]; then
    for each in "$bin/compute-sanitizer" "$(command -v compute-sanitizer)" /usr/local/cuda/bin/compute-sanitizer; do
        [ -z "$checker" ] && [ -x "$each" ] && checker="$each"
    done
    [ -n "$checker" ] || echo "compute-sanitizer is not on this machine: its checks are not run"
fi
if [ "$suite$checker" != 0 ] && { [ -z "$module" ] || [ ! -x "$bin/test_cuda" ]; }; then
    echo "the op suite is not run: it needs test_cuda and libkinglet_cuda.so in $bin"
    suite=0 checker="" failed=1
fi
counts() { # of the tests in a log
    printf '%s passed, %s refused, %s failed' "$(grep -c '^\[       OK' "$1")" "$(grep -c '^\[  SKIPPED.*ms)$' "$1")" "$(grep -c '^\[  FAILED  \].*ms)$' "$1")"
}

if [ "$suite" = 1 ]; then
    GTEST_OUTPUT="json:$out/suite.json" timeout "$(left 270)" "$bin/test_cuda" --gtest_filter="$suite_tests" >"$out/suite.log" 2>&1
    code=$?
    [ "$code" = 0 ] || failed=1
    printf '\nop suite and goldens  %s%s; %s\n' "$(counts "$out/suite.log")" "$([ "$code" = 124 ] && echo ', then its time was over')" "$out/suite.log"
fi

# Every fortieth op case, others for each tool, in what is left of the time.
share=0
for tool in ${checker:+memcheck racecheck initcheck synccheck}; do
    log="$out/$tool.log"
    GTEST_TOTAL_SHARDS=40 GTEST_SHARD_INDEX="$share" timeout "$(left $(((580 - SECONDS + began) / (4 - share))))" \
        "$checker" --tool "$tool" --error-exitcode 86 "$bin/test_cuda" --gtest_filter='*/CudaCase.*' >"$log" 2>&1
    code=$?
    share=$((share + 1))
    case "$code" in
        0) verdict='clean' ;;
        86) verdict='FINDINGS' failed=1 ;;
        124) verdict='no findings until its time was over' ;;
        *) verdict="ended with $code" failed=1 ;;
    esac
    printf '%-10s %s: %s; %s\n' "$tool" "$verdict" "$(counts "$log")" "$log"
done
echo "results in $out, $((SECONDS - began)) seconds"
exit "$failed"
