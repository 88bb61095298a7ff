// A template, a zero byte, and JSON to render it with (without one: a short conversation). Limits are low, so that a run is short.
#include "text/chat_template.h"

#include <string>

#include "fuzz/fuzz.h"

namespace {

constexpr std::string_view kConversation =
    R"({"messages": [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "Hi \u732b <|im_end|>"},
  {"role": "assistant", "content": null, "tool_calls": [{"type": "function", "function": {"name": "f", "arguments": {"a": [1, 2.5, true]}}}]},
  {"role": "tool", "content": [{"type": "text", "text": "12"}]}], "tools": [{"type": "function", "function": {"name": "f", "description": "d",
  "parameters": {"type": "object", "properties": {"a": {"type": "array"}}}}}], "add_generation_prompt": true, "bos_token": "<s>", "enable_thinking": false})";

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  Fields fields({data, size});
  const std::string_view source = fields.until_zero(), json = fields.rest();
  const auto parsed = kl::ChatTemplate::parse(source);
  if (!parsed.ok()) {
    promise(!parsed.status().message().empty());
    return 0;
  }
  (void)parsed->features();
  const auto context = kl::context_from_json(json.empty() ? kConversation : json);
  if (!context.ok()) return 0;
  kl::RenderOptions options;
  options.now = kl::jinja::CivilTime{2025, 3, 4, 5, 6, 7};
  options.limits.steps = 20000;
  const auto rendered = parsed->render(*context, options);
  if (!rendered.ok()) {
    promise(!rendered.status().message().empty());
    return 0;
  }
  std::string joined;
  for (const kl::Piece& piece : rendered->pieces) joined += piece.text;
  promise(joined == rendered->text);
  return 0;
}
