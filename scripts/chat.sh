#!/usr/bin/env bash
# From a fresh checkout to a chat: installs packages, builds, gets the default model, opens it. Every step is skipped when it has been done.
#   scripts/chat.sh                          chat with SmolLM2-135M-Instruct
#   scripts/chat.sh --prompt "What is ...?"  answer once
#   scripts/chat.sh --model FILE             any GGUF file; all other options (--backend, --threads, --system ...) go to the sample as they are
# shellcheck source=scripts/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

model_given=
system_given=
for argument in "$@"; do
    case "$argument" in
    --system | --system=*) system_given=1 ;;
    --model | --model=* | -h | --help) model_given=1 ;;
    esac
done

require "${packages_build[@]}"
chat="$root/build/release/bin/kinglet-chat"
[ -x "$chat" ] || say "building, once (a few minutes)"
configure_options=(-DKINGLET_TESTS=OFF "$(cuda_options)")
build release --target kinglet-chat

if [ -z "$model_given" ]; then
    require "${packages_model[@]}"
    model="$("$root/scripts/get_model.sh")"
    # The system prompt in the model's own template makes this small model answer some plain questions in French at 8-bit activations, in every
    # engine; with this one it keeps to the language of the question.
    [ -n "$system_given" ] || set -- --system "You are a helpful AI assistant." "$@"
    set -- --model "$model" "$@"
fi
exec "$chat" "$@"
