#!/usr/bin/env bash
# Builds and runs the tests, doing all set-up itself. Ends with "N passed, N failed, N skipped" and fails when anything failed.
#   scripts/test.sh          release build, fast tests: what a user needs to trust a checkout (15 minutes or less on 2 cores)
#   scripts/test.sh --ci     style, static analysis, ASan+UBSan, TSan on the engine, ARM under qemu, a CPU without AVX (with the fast tier: 60 minutes or less)
#   scripts/test.sh --full   everything, the tests labelled full included: before an issue is resolved
#   scripts/test.sh --ci|--full STAGE...   only these stages of it (as printed: tidy, asan...); all but fuzz and the sanitizers' need the release stage's build
# shellcheck source=scripts/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
cd "$root"

tier=fast
case "${1:-}" in
'') ;;
--ci) tier=ci ;;
--full) tier=full ;;
*)
    sed -n '2,6p' "${BASH_SOURCE[0]}" >&2
    fail "expected nothing, --ci or --full, got '$1'"
    ;;
esac
shift || true
wanted=" $* " # stages; none named: all
ran=0

results="$root/build/test-results/$tier"
if [ $# -eq 0 ]; then
    rm -rf "$results"
else
    for name in "$@"; do rm -rf "${results:?}/$name"; done # the report at the end is of all stages whose results are there
fi
mkdir -p "$results"
started=$SECONDS

# stage NAME COMMAND...: runs it, prints how long it took, and records a failure without stopping the stages after it.
stage() {
    local name="$1" begin=$SECONDS status verdict='done'
    shift
    [[ "$wanted" =~ ^\ *$ || "$wanted" == *" $name "* ]] || return 0
    ran=$((ran + 1))
    say "--- $name"
    mkdir -p "$results/$name"
    set +e # not `|| status=$?`: inside such a list, a failing command would not end the stage
    (
        set -e
        "$@"
    )
    status=$?
    set -e
    [ "$status" -eq 0 ] || verdict=FAILED
    printf '%s %s\n' "$status" "$((SECONDS - begin))" >"$results/$name/stage"
    say "--- $name: $verdict in $((SECONDS - begin)) s"
}

configure() { # PRESET OPTION...
    local preset="$1"
    shift
    mkdir -p "build/$preset"
    cmake --preset "$preset" -DKINGLET_UNITY_TESTS=ON "$@" >"build/$preset/kinglet-configure.log" 2>&1 || {
        tail -n 30 "build/$preset/kinglet-configure.log" >&2
        fail "expected preset $preset to configure; its last lines are above"
    }
}

# ctests STAGE PRESET CTEST-OPTION...: the chosen tests of a build; each GoogleTest executable leaves its counts beside ctest's.
ctests() {
    local out="$results/$1" preset="$2"
    shift 2
    GTEST_OUTPUT="xml:$out/" GTEST_BRIEF=1 ctest --test-dir "build/$preset" --output-on-failure --no-tests=error --timeout 1800 \
        --parallel "$(jobs)" --output-junit "$out/ctest.xml" "$@"
}

release_build() {
    local cuda=TESTS # compiling the module takes minutes, and a stage of --ci compiles all kernels
    [ "$tier" != full ] || cuda=AUTO
    configure release -DKINGLET_TESTS=ON -DKINGLET_TOOLS=ON -DKINGLET_SAMPLES=ON -DKINGLET_CUDA="$cuda" -DCMAKE_CUDA_ARCHITECTURES=80
    build release
}

release_tests() { # LABEL-REGEX
    release_build
    ctests "release" release -L "$1"
}

sanitizer_tests() { # PRESET TARGETS CTEST-OPTION...: gcc's sanitizers find their symbols with binutils
    local preset="$1" targets="$2" programs=OFF # what runs the command and the samples takes long to compile, and most of it is CLI11
    shift 2
    [ "$tier" != full ] || programs=ON
    configure "$preset" -DKINGLET_TESTS=ON -DKINGLET_TOOLS="$programs" -DKINGLET_SAMPLES="$programs"
    # shellcheck disable=SC2086 # a list of words
    build "$preset" --target $targets
    # (Their presets leave the Vulkan module out: drivers leak when they are unloaded, under names that no suppression can match.)
    # Errors are values here, so a huge allocation must be refused by us and not by the allocator's own limit.
    export ASAN_OPTIONS=detect_leaks=1:strict_string_checks=1:detect_stack_use_after_return=1:allocator_may_return_null=1
    export UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1
    export TSAN_OPTIONS=halt_on_error=1:second_deadlock_stack=1
    ctests "$preset" "$preset" "$@"
}

# In --ci without the sweeps of failing allocations: they are minutes here, and run under ASan and in the fast tier.
tsan_tests() {
    [ "$tier" = full ] || export GTEST_FILTER='-Allocation.*'
    sanitizer_tests tsan "test_engine test_kv test_plan" -R '^(engine|kv|plan)$'
}

# In --ci without seven tests that take half of the time; each has smaller ones beside it that go the same ways.
asan_tests() {
    local slow='*.EveryUnicodeScalarValueAlone*:Sampler.SamplesFollowTheDefinition:TemplateHostile.WorkIsBounded*:GgufDamage.ExtremeValuesInALargeFile*'
    slow+=':Preprocess.TwoHundredAspectRatios*:Preprocess.EverySizeFrom1To64*:LostCpu.SessionsBesideEachOther*'
    [ "$tier" = full ] || export GTEST_FILTER="-$slow"
    sanitizer_tests asan all "$@"
}

# Every eighth of the op tests under ASan and UBSan; its build is there.
asan_ops_sample() {
    UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1 GTEST_TOTAL_SHARDS=8 GTEST_SHARD_INDEX=5 ctests asan-ops asan -R '^ops$'
}

# The libraries for the cross build, unpacked beside it: nothing on this machine changes. Static archives only, so that qemu needs nothing but the C library.
arm64_sysroot() {
    local sysroot="$root/build/sysroot-arm64" work
    [ ! -f "$sysroot/complete" ] || return 0
    work="$(mktemp -d)"
    mkdir -p "$work/lists/partial" "$work/cache/archives/partial" "$work/debs" "$sysroot"
    local apt=(apt-get -qq -o Dir::State::Lists="$work/lists" -o Dir::Cache="$work/cache" -o Dir::State::status=/dev/null
        -o APT::Architecture=arm64 -o APT::Architectures=arm64 -o APT::Sandbox::User="$(id -un)")
    "${apt[@]}" update >"$work/log" 2>&1 || true # a third-party source without this architecture is no failure: the download below decides
    (cd "$work/debs" && "${apt[@]}" download "${packages_arm64[@]}") >>"$work/log" 2>&1 || {
        tail -n 10 "$work/log" >&2
        fail "expected to download the arm64 builds of ${packages_arm64[*]}"
    }
    local deb
    for deb in "$work"/debs/*.deb; do
        dpkg-deb --extract "$deb" "$sysroot"
    done
    find "$sysroot" -name '*.so' -delete
    touch "$sysroot/complete"
    rm -rf "$work"
}

arm_tests() {
    arm64_sysroot
    configure arm64 -DKINGLET_TESTS=ON -DKINGLET_TOOLS=OFF -DKINGLET_SAMPLES=OFF
    build arm64 --target test_ops
    # Emulation is some thirty times slower, so a sample of the cases: every sixteenth; in --ci without the one test that takes five sixths of that.
    # What holds NEON to the bits of the generic kernels is no matter of luck: it runs in both.
    local bits='AttentionKernels.EveryInstructionSetGivesTheSameBits' left_out
    left_out="$bits"
    [ "$tier" = full ] || left_out+=':AttentionKernels.ChunkingAndPagePlacementDoNotChangeABit'
    GTEST_FILTER="-$left_out" GTEST_TOTAL_SHARDS=16 GTEST_SHARD_INDEX=1 KL_TEST_SAMPLE=16 ctests arm64 arm64 -R '^ops$'
    GTEST_FILTER="$bits" ctests arm64 arm64 -R '^ops$'
}

# SwiftShader, a second CPU driver, out of Debian's chromium-common: prints the loader's file for it.
swiftshader() {
    local folder="$root/build/swiftshader"
    if [ ! -f "$folder/vk_swiftshader_icd.json" ]; then
        rm -rf "$folder"
        mkdir -p "$folder/deb"
        (cd "$folder/deb" && apt-get -qq download chromium-common >&2) || fail "expected apt-get to download chromium-common"
        dpkg-deb --fsys-tarfile "$folder"/deb/*.deb | tar -x -C "$folder" --strip-components=4 --wildcards '*swiftshader*' >&2
        rm -rf "$folder/deb"
    fi
    printf '%s\n' "$folder/vk_swiftshader_icd.json"
}

# vulkan_tests DRIVER SHARDS FILTER: the Vulkan suite on one CPU driver, every SHARDS-th test of FILTER, under the validation layers with synchronisation checks: no message allowed.
vulkan_tests() {
    local driver="$1" shards="$2" filter="$3" name out icd
    name="vulkan-$driver"
    out="$results/$name"
    case "$driver" in
    lavapipe) icd="$(find /usr/share/vulkan/icd.d -name 'lvp_icd*.json' | head -n 1)" ;;
    swiftshader) icd="$(swiftshader)" ;;
    esac
    # The layers are named to the loader, so a machine that lacks them has no instance and the tests fail.
    env VK_DRIVER_FILES="$icd" VK_INSTANCE_LAYERS=VK_LAYER_KHRONOS_validation KL_TEST_NEEDS_VULKAN=1 \
        VK_LAYER_ENABLES=VK_VALIDATION_FEATURE_ENABLE_SYNCHRONIZATION_VALIDATION_EXT \
        GTEST_OUTPUT="xml:$out/" GTEST_BRIEF=1 GTEST_TOTAL_SHARDS="$shards" GTEST_SHARD_INDEX="$((shards > 3 ? 3 : 0))" \
        build/release/bin/test_vulkan --gtest_filter="$filter" >"$out/log" 2>&1 || {
        grep -v '^\[ *OK' "$out/log" | tail -n 60 >&2
        fail "expected the Vulkan suite to pass on $driver"
    }
    ! grep -E -A 3 'VUID|SYNC-HAZARD|Validation (Error|Warning)' "$out/log" >&2 || fail "expected no message of the validation layers on $driver"
}

# What compiled pipelines on disk save. CPU drivers hand out no compiled code; Mesa's for AMD cards compiles without a card. (No layers: their time would count.)
vulkan_pipelines() {
    VK_DRIVER_FILES="$(find /usr/share/vulkan/icd.d -name 'radeon_icd*.json' | head -n 1)" RADV_FORCE_FAMILY=navi21 MESA_SHADER_CACHE_DISABLE=true \
        build/release/bin/test_vulkan --gtest_filter='VulkanPipelines.FromDisk*' >"$results/vulkan-pipelines/log" 2>&1 || {
        tail -n 20 "$results/vulkan-pipelines/log" >&2
        fail "expected pipelines from disk to be made in a fifth of the time"
    }
    grep -E 'pipelines made|from disk:|^\[  SKIPPED \]' "$results/vulkan-pipelines/log" >&2
}

# The same text on a CPU driver as on the CPU, to the end of a program of ours.
vulkan_generates() {
    local backend words=(generate --model tests/data/stories260K.gguf --raw --prompt 'Once upon a time' --max-tokens 40)
    for backend in cpu vulkan; do
        VK_DRIVER_FILES="$(find /usr/share/vulkan/icd.d -name 'lvp_icd*.json' | head -n 1)" \
            build/release/bin/kinglet "${words[@]}" --backend "$backend" >"$results/vulkan-generate/$backend" 2>/dev/null
    done
    cmp "$results/vulkan-generate/cpu" "$results/vulkan-generate/vulkan"
}

# cuda_host_tests SHARDS: the CUDA backend on the emulated driver, every SHARDS-th test of it; the checks of the emulation always.
cuda_host_tests() {
    local out="$results/cuda-host"
    if ! {
        GTEST_OUTPUT="xml:$out/test_cuda_checks.xml" GTEST_BRIEF=1 build/release/bin/test_cuda --gtest_filter='Cuda*:*/CudaChecksCatch.*:*/CudaPacking.*' &&
            GTEST_OUTPUT="xml:$out/test_cuda_cases.xml" GTEST_TOTAL_SHARDS="$1" GTEST_SHARD_INDEX="$(($1 > 3 ? 3 : 0))" \
                build/release/bin/test_cuda --gtest_filter='*/CudaCase.*:*/CudaAttentionBits.*:*/CudaFamilies.*:*/CudaVision.*:*OnCuda.*'
    } >"$out/log" 2>&1; then
        grep -v '^\[ *\(OK\|RUN\|SKIPPED\)' "$out/log" | tail -n 60 >&2
        fail "expected the CUDA suite to pass on the emulation"
    fi
    scripts/bench_gpu.sh --self-test build/release/bin/gpu_bench_emulated >&2 || fail "expected the GPU benchmark to be in order on the emulation"
    say "CUDA on the emulation: $(grep -c 'refused:' "$out/log") of $(grep -c '^\[ RUN' "$out/log") cases refused by the backend"
}

# cuda_compile ARCHITECTURES ("": all): the kernels through nvcc; none spills that does not say so.
cuda_compile() {
    if ! command -v nvcc >/dev/null; then
        say "no nvcc here: the CUDA kernels are not compiled for a card"
        return 0
    fi
    python3 scripts/cuda_kernels.py --architectures "$1" >"$results/cuda-compile/report" || {
        grep -v '  *[0-9]* *0 *[0-9]*$' "$results/cuda-compile/report" >&2
        fail "expected every CUDA kernel to compile without spills that it does not declare"
    }
}

# A CPU without AVX: a library that was built with newer code paths must start there and compute the same.
no_avx_tests() {
    GTEST_OUTPUT="xml:$results/no_avx/" GTEST_BRIEF=1 GTEST_TOTAL_SHARDS=16 GTEST_SHARD_INDEX=3 KL_TEST_SAMPLE=16 \
        qemu-x86_64 -cpu Nehalem build/release/bin/test_ops
}

sources() { git ls-files -- '*.c' '*.cpp' '*.h' '*.hpp'; }

format_check() {
    sources | xargs --no-run-if-empty --max-procs="$(jobs)" --max-args=40 clang-format-14 --dry-run -Werror
}

say "tier $tier on $(uname -m), $(jobs) cores"
require "${packages_build[@]}" "${packages_test[@]}" "${packages_window[@]}"
[ "$tier" = fast ] || require "${packages_ci[@]}" "${packages_vulkan[@]}"
nvidia-smi -L >/dev/null 2>&1 || say "no NVIDIA GPU here: tests that need one are skipped"

case "$tier" in
fast) stage release release_tests '^fast$' ;;
ci) stage release release_build ;; # its tests are the fast tier's, which a change must pass too
full)
    require "${packages_model[@]}"
    KINGLET_TEST_MODEL="$(scripts/get_model.sh)" # the promises about a real model; without one those tests say that they were skipped
    export KINGLET_TEST_MODEL
    stage release release_tests '^(fast|full)$'
    ;;
esac
if [ "$tier" != fast ]; then
    stage format format_check
    tidy=(python3 scripts/tidy.py --build build/release)
    [ "$tier" = full ] || tidy+=(--quick --every 3) # the whole of it takes as long as all other stages together
    stage tidy "${tidy[@]}"
    if [ "$tier" = full ]; then
        stage asan asan_tests -L '^fast$'
    else
        stage asan asan_tests -L '^fast$' -E '^ops$'
        stage asan-ops asan_ops_sample # all of it takes a quarter of an hour
    fi
    stage tsan tsan_tests
    stage arm64 arm_tests
    stage no_avx no_avx_tests
    if [ "$tier" = full ]; then
        stage vulkan-lavapipe vulkan_tests lavapipe 1 '*'
        stage vulkan-swiftshader vulkan_tests swiftshader 1 '*'
    else
        stage vulkan-lavapipe vulkan_tests lavapipe 16 '*'
        stage vulkan-swiftshader vulkan_tests swiftshader 32 'Cases/VulkanCase.*' # its time goes into compiling: what opens engines takes minutes
    fi
    stage vulkan-pipelines vulkan_pipelines
    stage vulkan-generate vulkan_generates
    stage cuda-host cuda_host_tests "$([ "$tier" = full ] && echo 1 || echo 16)"
    stage cuda-compile cuda_compile "$([ "$tier" = full ] || echo 80)"
fi
[ "$tier" != full ] || stage fuzz scripts/fuzz.sh 60

[ "$ran" -gt 0 ] || fail "expected stages of tier $tier, got$wanted"
say "tier $tier took $((SECONDS - started)) s"
python3 scripts/test_report.py "$results"
