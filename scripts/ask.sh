#!/usr/bin/env bash
# From a fresh checkout to an answer about a picture: installs packages, builds, asks. Every step is skipped when it has been done.
#   scripts/ask.sh picture.png "What is in the picture?"     asks the small model that comes with the samples, which knows coloured shapes and numbers only
#   scripts/ask.sh one.png two.png "..."                     about several pictures; without a question, a prompt opens (/help lists its commands)
#   scripts/ask.sh --model FILE --projector FILE picture.jpg "..."    any vision-language model of a supported family (GGUF and its mmproj file)
# All other options (--backend, --threads, --once, --quiet ...) go to the sample as they are.
# shellcheck source=scripts/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

model_given=
projector_given=
help_wanted=
for argument in "$@"; do
    case "$argument" in
    --model | --model=*) model_given=1 ;;
    --projector | --projector=*) projector_given=1 ;;
    -h | --help) help_wanted=1 ;;
    esac
done
if [ $# -eq 0 ]; then
    sed -n '3,6p' "${BASH_SOURCE[0]}" | cut -c 3- >&2
    fail 'expected a picture and a question, got nothing. For a try: scripts/ask.sh samples/image_question/model/pictures/06.png "What do you see?"'
fi
if [ "$model_given" != "$projector_given" ]; then
    fail "expected --model and --projector together: a text model and the vision encoder that was trained with it (its mmproj file)"
fi

require "${packages_build[@]}"
ask="$root/build/release/bin/image_question"
[ -x "$ask" ] || say "building, once (a few minutes)"
configure_options=(-DKINGLET_TESTS=OFF "$(cuda_options)")
build release --target image_question

if [ -z "$model_given$help_wanted" ]; then
    small="$root/samples/image_question/model"
    set -- --model "$small/shapes-vlm-q8_0.gguf" --projector "$small/mmproj-shapes-vlm-f16.gguf" "$@"
fi
exec "$ask" "$@"
