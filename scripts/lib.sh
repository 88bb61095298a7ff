# Shared by the scripts of this folder: installs the Debian packages that a step needs, and configures and builds a preset. Sourced, never run.
# shellcheck shell=bash disable=SC2034
set -euo pipefail

root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"

packages_build=(g++ cmake ninja-build pkg-config libpcre2-dev libutf8proc-dev libxxhash-dev libsodium-dev libxsimd-dev nlohmann-json3-dev libcli11-dev libedit-dev
    libjpeg62-turbo-dev libpng-dev zlib1g-dev libwebp-dev libexif-dev libvulkan-dev libvulkan-volk-dev)
packages_model=(ca-certificates python3 python3-pip)
packages_test=(libgtest-dev libgmock-dev googletest python3 binutils)
packages_window=(libsdl2-dev libsdl2-image-dev libimgui-dev xvfb xauth) # the window sample, which is built where they are, and its virtual display
packages_ci=(clang-14 clang-tidy-14 clang-format-14 qemu-user g++-aarch64-linux-gnu)
packages_vulkan=(mesa-vulkan-drivers vulkan-validationlayers) # a CPU driver, and what watches over the use of the interface
packages_fuzz=(clang-14 libclang-rt-14-dev)
packages_arm64=(libpcre2-dev libutf8proc-dev libxxhash-dev libsodium-dev libjpeg62-turbo-dev libpng-dev zlib1g-dev libwebp-dev libexif-dev)  # for the cross build: only headers and static archives are taken out of them

say() { printf '%s\n' "kinglet: $*" >&2; }
fail() {
    printf '%s\n' "kinglet: error: $*" >&2
    exit 1
}

# require PACKAGE...: returns when all are installed; installs what is missing on Debian and its kin, and says what to do elsewhere.
require() {
    [ -z "${KINGLET_NO_INSTALL:-}" ] || return 0
    if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
        fail "expected a Debian-like system with apt-get to install from. Elsewhere, install what these Debian packages hold and set KINGLET_NO_INSTALL=1: $*"
    fi
    local name missing=()
    local installed
    installed="$(dpkg-query --show --showformat '${db:Status-Status} ${Package}\n' "$@" 2>/dev/null || true)"
    for name in "$@"; do
        grep -qx "installed $name" <<<"$installed" || missing+=("$name")
    done
    [ ${#missing[@]} -gt 0 ] || return 0

    local as_root=()
    if [ "$(id -u)" -ne 0 ]; then
        command -v sudo >/dev/null || fail "expected to be root or to have sudo, to install: ${missing[*]}"
        as_root=(sudo)
    fi
    say "installing ${missing[*]}"
    local log
    log="$(mktemp)"
    local apt=("${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=300)
    # The lists on the machine may be absent or old, so a failed install is tried once more with fresh ones.
    if ! "${apt[@]}" install -y --no-install-recommends "${missing[@]}" >"$log" 2>&1 </dev/null; then
        "${apt[@]}" update >>"$log" 2>&1 </dev/null || true
        if ! "${apt[@]}" install -y --no-install-recommends "${missing[@]}" >>"$log" 2>&1 </dev/null; then
            tail -n 15 "$log" >&2
            rm -f "$log"
            fail "expected apt-get to install ${missing[*]}; its last words are above"
        fi
    fi
    rm -f "$log"
}

jobs() { nproc 2>/dev/null || echo 2; }

# The CUDA module for the cards of this machine, or none: one for every card takes minutes to compile.
cuda_options() {
    local cards
    cards="$(nvidia-smi --query-gpu=compute_cap --format=csv,noheader 2>/dev/null | tr -d . | sort -un | paste -sd ';')" || true
    if [[ "$cards" =~ ^[0-9]+(\;[0-9]+)*$ ]]; then
        printf '%s\n' "-DCMAKE_CUDA_ARCHITECTURES=$cards"
    else
        printf '%s\n' -DKINGLET_CUDA=OFF
    fi
}

# build PRESET [--target T...]: configures, with configure_options, when that has not been done, and builds; quiet unless it fails.
configure_options=()
build() {
    local preset="$1"
    shift
    local folder="$root/build/$preset"
    local log="$folder/kinglet-build.log"
    mkdir -p "$folder"
    if [ ! -f "$folder/build.ninja" ]; then
        (cd "$root" && cmake --preset "$preset" "${configure_options[@]}") >"$log" 2>&1 || {
            tail -n 30 "$log" >&2
            fail "expected 'cmake --preset $preset' to configure; its last lines are above, all of them in build/$preset/kinglet-build.log"
        }
    fi
    if [ -z "${KINGLET_VERBOSE:-}" ]; then
        cmake --build "$folder" "$@" --parallel "$(jobs)" >"$log" 2>&1 || {
            grep -E -A 12 'error:|FAILED:' "$log" | head -n 60 >&2 || tail -n 30 "$log" >&2
            fail "expected '$preset' to build; all output is in build/$preset/kinglet-build.log"
        }
    else
        cmake --build "$folder" "$@" --parallel "$(jobs)"
    fi
}
