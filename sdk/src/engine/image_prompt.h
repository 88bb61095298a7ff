// Where images stand in a prompt: which of a template's characters mean an image, and what they become. Pure functions; thread-safe.
#pragma once
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engine/content.h"
#include "engine/json_text.h"
#include "models/vision_spec.h"
#include "text/chat_template.h"
#include "text/tokenizer.h"

namespace kl {

// How a chat template takes a message's content, found by trying: templates do not say, and many drop without a word what they do not expect.
struct TemplateForm {
  bool strings = true;  // a text comes out
  bool parts = false;   // [{"type": "text", "text": ...}] comes out as its text
  bool images = false;  // {"type": "image"} comes out as the placeholder, in the template's own characters
  // It writes a space in front of an answer of the history, but none where an answer is to begin (SmolVLM): the model generates that space, and would see two.
  bool answer_space = false;
};
// render: messages -> prompt, answer begun or not. placeholder: of the projector's kind; empty: no projector.
using RenderMessages = std::function<Result<Rendered>(const Json& messages, bool begin_answer)>;
TemplateForm probe_template(const RenderMessages& render, std::string_view placeholder);

bool is_image_part(const Json& part);  // {"type": "image", ...}
// Calls `visit` for every image part of the messages' contents, in order, until one fails.
Status for_each_image(Json& messages, const std::function<Status(Json& part)>& visit);

// The messages as this template takes them. Where it knows no images, `mark`, a text that occurs nowhere else, stands for each.
Json messages_for(const Json& messages, const TemplateForm& form, std::string_view mark);
// A text that no message can hold.
std::string new_mark();

// A rendered prompt, cut where its images stand.
struct ImagePrompt {
  std::vector<std::vector<Piece>> text;  // [images + 1]
  bool bare = false;                     // the template knows no images: what else it would have written around them is missing
};
// Placeholders count only in the template's own characters (R15); a mark counts anywhere. Error unsupported: the template wrote another number than `images`.
Result<ImagePrompt> cut_at_images(const Rendered& rendered, const TemplateForm& form, std::string_view placeholder, std::string_view mark,
                                  size_t images);

// Tokens and rows. `token` stands for the rows where only ids are shown. Errors: those of the tokenizer.
Result<Content> assemble(const ImagePrompt& prompt, const ImageText& text, std::span<const std::shared_ptr<const Features>> images,
                         const Tokenizer& tokenizer, int32_t token);

}  // namespace kl
