// Old converters wrote these tokens as normal or user-defined ones, so that a model ran past the end of its turn, or a user's text could
// end it. The names are facts about published models; llama.cpp goes by the same ones.
#include "text/vocabulary_roles.h"

namespace kl {
namespace {

struct Known {
  std::string_view text;
  TokenRole role;
};

constexpr Known kKnown[] = {
    {"<|eot_id|>", TokenRole::end_of_turn},             // Llama 3
    {"<|im_end|>", TokenRole::end_of_turn},             // ChatML: Qwen, SmolLM
    {"<|end|>", TokenRole::end_of_turn},                // Phi-3
    {"<end_of_turn>", TokenRole::end_of_turn},          // Gemma
    {"<|endoftext|>", TokenRole::end_of_turn},          // GPT-2 and many after it
    {"<|end_of_text|>", TokenRole::end_of_turn},        // Granite
    {"<EOT>", TokenRole::end_of_turn},                  //
    {"[EOT]", TokenRole::end_of_turn},                  // Kimi
    {"<｜end▁of▁sentence｜>", TokenRole::end_of_turn},  // DeepSeek
    {"<end_of_utterance>", TokenRole::end_of_turn},     // SmolVLM
    {"<|eom_id|>", TokenRole::end},                     // Llama 3
    {"<|return|>", TokenRole::end},                     // o200k harmony
    {"<|call|>", TokenRole::end},                       //
    {"<|flush|>", TokenRole::end},                      // Solar
    {"<|calls|>", TokenRole::end},                      //
    {"</s>", TokenRole::end},                           // Llama 2, Mistral
    {"<eos>", TokenRole::end},                          // Gemma
    {"<turn|>", TokenRole::end},                        // Gemma 4
    {"<|tool_response>", TokenRole::end},               //
    {"[EOS]", TokenRole::end},                          // Kimi
    {"[e~[", TokenRole::end},                           // MiniMax
    {"<|fim_pad|>", TokenRole::end},                    // Qwen: a base model goes on with another file
    {"<fim-pad>", TokenRole::end},                      //
    {"<fim_pad>", TokenRole::end},                      // Granite
    {"<|fim_repo|>", TokenRole::end},                   //
    {"<|repo_name|>", TokenRole::end},                  // Qwen
    {"<|file_sep|>", TokenRole::end},                   //
    {"<|fim_prefix|>", TokenRole::control},             //
    {"<|fim_suffix|>", TokenRole::control},             //
    {"<|fim_middle|>", TokenRole::control},             //
    {"<fim_prefix>", TokenRole::control},               // StarCoder, Granite
    {"<fim_suffix>", TokenRole::control},               //
    {"<fim_middle>", TokenRole::control},               //
    {"<fim-prefix>", TokenRole::control},               //
    {"<fim-suffix>", TokenRole::control},               //
    {"<fim-middle>", TokenRole::control},               //
    {"<｜fim▁begin｜>", TokenRole::control},            // DeepSeek
    {"<｜fim▁hole｜>", TokenRole::control},             //
    {"<｜fim▁end｜>", TokenRole::control},              //
};

}  // namespace

TokenRole token_role(std::string_view text) {
  for (const Known& known : kKnown) {
    if (known.text == text) return known.role;
  }
  return TokenRole::none;
}

}  // namespace kl
