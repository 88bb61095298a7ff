#include "text/chat_template.h"

#include "text/jinja/interpreter.h"
#include "text/jinja/parser.h"
#include "text/jinja/unicode.h"

namespace kl {

Result<ChatTemplate> ChatTemplate::parse(std::string_view source) {
  if (source.size() > jinja::kMaxSource) {
    return error(Code::unsupported, "chat template: expected at most %s bytes, got %s", with_commas(jinja::kMaxSource).c_str(),
                 with_commas(source.size()).c_str());
  }
  if (!jinja::valid_utf8(source)) return error(Code::invalid_argument, "chat template: the text is not UTF-8");
  auto ast = jinja::parse(source);
  if (!ast.ok()) return ast.status().at("chat template");
  return ChatTemplate(std::move(*ast));
}

Result<Rendered> ChatTemplate::render(const jinja::Value& context, const RenderOptions& options) const {
  if (!context.is(jinja::Kind::dict)) {
    return error(Code::invalid_argument, "chat template: expected a dict of variables, got '%s'", context.type_name());
  }
  jinja::Interpreter interpreter(*ast_, context, options.limits, options.now);
  const auto text = interpreter.run();
  if (!text.ok()) return text.status().at("chat template");
  Rendered out;
  out.text = std::string(text->text());
  text->each_run(0, text->size(), [&](std::string_view run, bool trusted) { out.pieces.push_back({std::string(run), trusted}); });
  return out;
}

TemplateFeatures ChatTemplate::features() const {
  const auto reads = [this](const char* name) { return ast_->symbol_of.contains(name); };
  TemplateFeatures f;
  f.tools = reads("tools");
  f.thinking = reads("enable_thinking") || reads("thinking");
  f.generation_prompt = reads("add_generation_prompt");
  for (const jinja::Node& node : ast_->nodes) {
    f.system_role |= node.kind == jinja::NodeKind::constant && node.value.is_string() && node.value.str().text() == "system";
  }
  return f;
}

}  // namespace kl
