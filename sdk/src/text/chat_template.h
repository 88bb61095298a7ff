// Chat templates: the Jinja text of a model file, and a conversation as variables, to the prompt, with the origin of every character.
#pragma once
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/status.h"
#include "text/jinja/strftime.h"
#include "text/jinja/value.h"

namespace kl {

namespace jinja {
struct Ast;
}

// A stretch of a rendered prompt. Special tokens may be recognised in trusted pieces only (they came from the template, or from names the engine vouched for).
struct Piece {
  std::string text;
  bool trusted = false;
};

struct Rendered {
  std::string text;           // all pieces joined
  std::vector<Piece> pieces;  // neighbours differ in trust
};

// What a template looks at, found without rendering.
struct TemplateFeatures {
  bool system_role = false;        // mentions the role "system"
  bool tools = false;              // reads `tools`
  bool thinking = false;           // reads `enable_thinking` or `thinking`
  bool generation_prompt = false;  // reads `add_generation_prompt`
};

struct RenderOptions {
  std::optional<jinja::CivilTime> now;  // what strftime_now() gives; absent: the function is not defined
  jinja::Limits limits;
};

// A parsed template: immutable, cheap to copy, used by any number of threads.
class ChatTemplate {
 public:
  // Jinja2's language with trim_blocks, lstrip_blocks, loop controls, and Hugging Face's tojson, raise_exception, strftime_now and `generation` tag.
  // Errors: invalid_argument (not a template, with its line), unsupported (include, import, extends, nesting over 128, by name).
  static Result<ChatTemplate> parse(std::string_view source);

  // context: a dict of variables (`messages`, `tools`, `add_generation_prompt`, `bos_token`, ...). Errors: what the template raises or does wrong
  // (invalid_argument, with the line), a limit reached (unsupported, out_of_memory). No access to anything but the context.
  Result<Rendered> render(const jinja::Value& context, const RenderOptions& options = {}) const;

  TemplateFeatures features() const;

 private:
  explicit ChatTemplate(std::shared_ptr<const jinja::Ast> ast) : ast_(std::move(ast)) {}
  std::shared_ptr<const jinja::Ast> ast_;
};

// Which strings of a JSON context the engine vouches for.
struct TrustedNames {
  // Top-level variables whose strings come from the model file.
  std::vector<std::string> variables = {"bos_token", "eos_token", "unk_token", "pad_token", "sep_token", "cls_token", "mask_token"};
  // Values of messages[i].role that templates may build tokens of ("<|" + role + "|>"); any other role is content.
  std::vector<std::string> roles = {"system", "developer", "user", "assistant", "tool", "function", "ipython"};
};

// A JSON object as template variables; key order is kept, numbers with a fraction or exponent are floats. Errors: invalid_argument (not JSON, not an
// object), unsupported (nesting over 64, integers over 64 bits).
Result<jinja::Value> context_from_json(std::string_view json, const TrustedNames& trusted = {});

}  // namespace kl
