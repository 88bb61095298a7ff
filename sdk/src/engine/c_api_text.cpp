// Tokenizer and chat template: the other part of sdk/include/kinglet/model.h.
#include "engine/c_api.h"

using namespace kl;
using namespace kl::c_api;

extern "C" {

kl_status kl_tokenize(kl_model* model, const char* text, size_t text_length, const kl_tokenize_options* options, int32_t** ids,
                      size_t* count) {
  return guard([&]() -> Status {
    KL_TRY(clear(ids, "ids"));
    if (!count) return error(Code::invalid_argument, "count is null");
    *count = 0;
    KL_ASSIGN(const auto m, find<Model>(model));
    KL_TRY(m->has_words());
    if (!text && text_length > 0) return error(Code::invalid_argument, "text is null, but text_length is %zu", text_length);
    kl_tokenize_options o;
    KL_TRY(read_struct(options, "kl_tokenize_options", true, o));
    KL_ASSIGN(const auto tokens, m->tokenizer().encode({text ? text : "", text_length}, o.special != 0, {.add_special = o.no_bos == 0}));
    return give_ids(tokens, ids, count);
  });
}

kl_status kl_detokenize(kl_model* model, const int32_t* ids, size_t count, char** text, size_t* text_length) {
  return guard([&]() -> Status {
    KL_TRY(clear(text, "text"));
    KL_ASSIGN(const auto m, find<Model>(model));
    KL_TRY(m->has_words());
    if (!ids && count > 0) return error(Code::invalid_argument, "ids is null, but count is %zu", count);
    KL_ASSIGN(const std::string all, detokenize(m->vocabulary(), std::span(ids, count), {.render_special = true, .text_start = true}));
    return give_text(all, text, text_length);
  });
}

kl_status kl_render(kl_model* model, const kl_render_options* options, char** text, size_t* text_length) {
  return guard([&]() -> Status {
    KL_TRY(clear(text, "text"));
    kl_render_options o;
    KL_TRY(read_struct(options, "kl_render_options", false, o));
    KL_ASSIGN(const std::string context, need_text(o.context_json, "context_json"));
    KL_ASSIGN(const Json variables, parse_json(context, "context_json"));
    if (!variables.is_object()) return error(Code::invalid_argument, "context_json must be a JSON object");
    std::optional<std::string> now;
    if (o.now) now = o.now;
    std::optional<ChatTemplate> own;
    if (o.template_text) {
      KL_ASSIGN(own, ChatTemplate::parse(o.template_text));
    }
    if (!model && own) {
      KL_ASSIGN(const Rendered rendered, render_template(*own, variables, now));
      return give_text(rendered.text, text, text_length);
    }
    KL_ASSIGN(const auto m, find<Model>(model));
    KL_ASSIGN(const Rendered rendered, m->render(variables, own ? &*own : nullptr, now));
    return give_text(rendered.text, text, text_length);
  });
}

}  // extern "C"
