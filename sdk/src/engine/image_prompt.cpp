#include "engine/image_prompt.h"

#include <algorithm>
#include <random>

namespace kl {
namespace {

Json make_part(const char* type) {
  Json part{Json::Object()};
  part.set("type", Json(type));
  return part;
}

Json text_part(const std::string& text) {
  Json part = make_part("text");
  part.set("text", Json(text));
  return part;
}

const std::string* part_text(const Json& part) {
  if (!part.is_object()) return nullptr;
  const Json* const type = part.find("type");
  const Json* const text = part.find("text");
  return type && type->string() && *type->string() == "text" && text ? text->string() : nullptr;
}

Json make_message(const char* role, Json content) {
  Json message{Json::Object()};
  message.set("role", Json(role));
  message.set("content", std::move(content));
  return message;
}

// Made of texts and images only: other parts are the template's affair.
bool is_plain(const Json& content) {
  return content.is_array() && std::all_of(content.array().begin(), content.array().end(),
                                           [](const Json& part) { return part_text(part) || is_image_part(part); });
}

bool has_images(const Json& content) {
  return content.is_array() && std::any_of(content.array().begin(), content.array().end(), is_image_part);
}

Json content_for(const Json& content, const TemplateForm& form, std::string_view mark) {
  if (const std::string* const text = content.string()) {
    if (form.strings || !form.parts) return content;
    Json parts{Json::Array()};
    parts.array().push_back(text_part(*text));
    return parts;
  }
  if (!is_plain(content)) return content;
  const bool images = has_images(content);
  if (form.parts && (form.images || !images)) {
    Json parts{Json::Array()};
    for (const Json& part : content.array()) parts.array().push_back(is_image_part(part) ? make_part("image") : part);
    return parts;
  }
  std::string joined;
  for (const Json& part : content.array()) {
    if (const std::string* const text = part_text(part)) {
      joined += *text;
    } else {
      joined += mark;
    }
  }
  if (form.strings) return Json(std::move(joined));
  Json parts{Json::Array()};
  parts.array().push_back(text_part(joined));
  return parts;
}

void append(std::vector<Piece>& pieces, std::string_view text, bool trusted) {
  if (text.empty()) return;
  if (!pieces.empty() && pieces.back().trusted == trusted) {
    pieces.back().text += text;
  } else {
    pieces.push_back({std::string(text), trusted});
  }
}

}  // namespace

bool is_image_part(const Json& part) {
  const Json* const type = part.is_object() ? part.find("type") : nullptr;
  return type && type->string() && *type->string() == "image";
}

Status for_each_image(Json& messages, const std::function<Status(Json& part)>& visit) {
  if (!messages.is_array()) return {};
  for (Json& message : messages.array()) {
    if (!message.is_object()) continue;
    for (auto& [key, value] : message.object()) {
      if (key != "content" || !value.is_array()) continue;
      for (Json& part : value.array()) {
        if (is_image_part(part)) KL_TRY(visit(part));
      }
    }
  }
  return {};
}

TemplateForm probe_template(const RenderMessages& render, std::string_view placeholder) {
  constexpr const char* kWord = "kinglet";
  const auto user = [&](Json content) {
    Json messages{Json::Array()};
    messages.array().push_back(make_message("user", std::move(content)));
    return messages;
  };
  TemplateForm form;
  const auto string = render(user(Json(kWord)), true);
  form.strings = !string.ok() || string->text.find(kWord) != std::string::npos;  // one that fails will say so when it is used
  Json content{Json::Array()};
  if (!placeholder.empty()) content.array().push_back(make_part("image"));
  content.array().push_back(text_part(kWord));
  const auto typed = render(user(std::move(content)), true);
  if (typed.ok() && typed->text.find(kWord) != std::string::npos) {
    // A template that knows only texts writes the list as Python shows it.
    form.parts = typed->text.find("'type'") == std::string::npos && typed->text.find("\"type\"") == std::string::npos;
    form.images = form.parts && !placeholder.empty() && std::any_of(typed->pieces.begin(), typed->pieces.end(), [&](const Piece& piece) {
                    return piece.trusted && piece.text.find(placeholder) != std::string::npos;
                  });
  }
  Json turn = user(Json(kWord));
  const auto begun = render(messages_for(turn, form, {}), true);
  turn.array().push_back(make_message("assistant", Json(kWord)));
  const auto answered = render(messages_for(turn, form, {}), false);
  form.answer_space = begun.ok() && answered.ok() && answered->text.starts_with(begun->text + " " + kWord);
  return form;
}

Json messages_for(const Json& messages, const TemplateForm& form, std::string_view mark) {
  Json out = messages;
  for (Json& message : out.array()) {
    if (!message.is_object()) continue;
    const Json* const role = message.find("role");
    const bool answer = role && role->string() && *role->string() == "assistant";
    for (auto& [key, value] : message.object()) {
      if (key != "content") continue;
      if (auto* const text = std::get_if<std::string>(&value.value); text && answer && form.answer_space && text->starts_with(' ')) {
        text->erase(0, 1);
      }
      value = content_for(value, form, mark);
    }
  }
  return out;
}

std::string new_mark() {
  std::random_device random;
  std::string mark = "KingletImage";
  for (int i = 0; i < 4; ++i) mark += format("%08x", random());
  return mark;
}

Result<ImagePrompt> cut_at_images(const Rendered& rendered, const TemplateForm& form, std::string_view placeholder, std::string_view mark,
                                  size_t images) {
  ImagePrompt prompt;
  prompt.bare = !form.images;
  const std::string_view sought = form.images ? placeholder : mark;
  prompt.text.emplace_back();
  for (const Piece& piece : rendered.pieces) {
    std::string_view rest = piece.text;
    while (images > 0 && (piece.trusted || prompt.bare)) {
      const size_t at = rest.find(sought);
      if (at == std::string_view::npos) break;
      append(prompt.text.back(), rest.substr(0, at), piece.trusted);
      prompt.text.emplace_back();
      rest.remove_prefix(at + sought.size());
    }
    append(prompt.text.back(), rest, piece.trusted);
  }
  if (prompt.text.size() != images + 1) {
    return error(Code::unsupported, "the chat template wrote %zu of %zu images of the conversation", prompt.text.size() - 1, images);
  }
  return prompt;
}

Result<Content> assemble(const ImagePrompt& prompt, const ImageText& text, std::span<const std::shared_ptr<const Features>> images,
                         const Tokenizer& tokenizer, int32_t token) {
  if (prompt.text.size() != images.size() + 1) {
    return error(Code::internal, "a prompt with room for %zu images, got %zu", prompt.text.size() - 1, images.size());
  }
  Content content;
  std::vector<Piece> pieces;  // of the current stretch between two blocks of rows
  const auto flush = [&](bool ends) -> Status {
    std::vector<TextPiece> views;
    views.reserve(pieces.size());
    for (const Piece& piece : pieces) views.push_back({piece.text, piece.trusted});
    KL_ASSIGN(const std::vector<TokenId> ids,
              tokenizer.encode(views, {.add_special = true, .begins = content.blocks().empty(), .ends = ends}));
    content.push_tokens(ids);
    pieces.clear();
    return {};
  };
  for (size_t i = 0;; ++i) {
    for (const Piece& piece : prompt.text[i]) append(pieces, piece.text, piece.trusted);
    if (i == images.size()) break;
    const Features& image = *images[i];
    const std::vector<std::string> around = text_around(text, image.grid_rows, image.grid_columns, prompt.bare);
    if (around.size() != image.blocks.size() + 1) {
      return error(Code::internal, "an image of %zu pieces, %zu texts around them", image.blocks.size(), around.size());
    }
    for (size_t block = 0; block < image.blocks.size(); ++block) {
      append(pieces, around[block], true);
      KL_TRY(flush(false));
      content.push_block(images[i], block, token);
    }
    append(pieces, around.back(), true);
  }
  KL_TRY(flush(true));
  return content;
}

}  // namespace kl
