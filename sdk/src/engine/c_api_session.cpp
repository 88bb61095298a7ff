// Sessions: the first part of sdk/include/kinglet/session.h.
#include "engine/c_api.h"

using namespace kl;
using namespace kl::c_api;

namespace {

Status give_generation(const std::shared_ptr<Generation>& generation, kl_generation** out) {
  try {
    auto handle = std::make_shared<GenerationHandle>();
    handle->generation = generation;
    Status status = give(std::move(handle), out);
    if (!status.ok()) generation->cancel();
    return status;
  } catch (const std::bad_alloc&) {
    generation->cancel();  // nobody could ever read it
    throw;
  }
}

Result<Json> message_array(const char* text) {
  KL_ASSIGN(const std::string json, need_text(text, "messages_json"));
  KL_ASSIGN(Json parsed, parse_json(json, "messages_json"));
  if (!parsed.is_object()) return parsed;
  Json messages{Json::Array()};
  messages.array().push_back(std::move(parsed));
  return messages;
}

Json images_and_text(size_t images, const std::string& text) {
  Json parts{Json::Array()};
  Json part{Json::Object()};
  part.set("type", Json("image"));
  for (size_t i = 0; i < images; ++i) parts.array().push_back(part);
  part.set("type", Json("text"));
  part.set("text", Json(text));
  if (!text.empty()) parts.array().push_back(std::move(part));
  return parts;
}

}  // namespace

extern "C" {

kl_status kl_session_new(kl_model* model, const kl_session_options* options, kl_session** session) {
  return guard([&]() -> Status {
    KL_TRY(clear(session, "session"));
    KL_ASSIGN(auto m, find<Model>(model));
    kl_session_options given;
    KL_TRY(read_struct(options, "kl_session_options", true, given));
    SessionOptions o;
    if (given.system) o.system = given.system;
    if (o.system && !is_utf8(*o.system)) return error(Code::invalid_argument, "the system prompt is not valid UTF-8");
    KL_ASSIGN(o.sampling, read_sampling(given.sampling));
    if (given.template_json) {
      KL_ASSIGN(o.variables, parse_json(given.template_json, "template_json"));
      if (!o.variables.is_object()) return error(Code::invalid_argument, "template_json must be a JSON object");
    }
    if (given.template_text) o.template_text = given.template_text;
    KL_ASSIGN(auto made, Session::create(std::move(m), o));
    return give(std::move(made), session);
  });
}

kl_status kl_session_destroy(kl_session* session) {
  return guard([&]() -> Status {
    KL_ASSIGN(const auto object, take<Session>(session));
    if (object) object->close();
    return {};
  });
}

kl_status kl_session_reset(kl_session* session) {
  return guard([&]() -> Status {
    KL_ASSIGN(const auto object, find<Session>(session));
    return object->reset();
  });
}

kl_status kl_session_fork(kl_session* session, kl_session** copy) {
  return guard([&]() -> Status {
    KL_TRY(clear(copy, "copy"));
    KL_ASSIGN(const auto object, find<Session>(session));
    KL_ASSIGN(auto made, object->fork());
    return give(std::move(made), copy);
  });
}

kl_status kl_session_history(kl_session* session, char** text, size_t* text_length) {
  return guard([&]() -> Status {
    KL_TRY(clear(text, "text"));
    KL_ASSIGN(const auto object, find<Session>(session));
    KL_ASSIGN(const std::string json, object->history());
    return give_text(json, text, text_length);
  });
}

kl_status kl_session_restore(kl_session* session, const char* messages_json) {
  return guard([&]() -> Status {
    KL_ASSIGN(const auto object, find<Session>(session));
    KL_ASSIGN(const std::string json, need_text(messages_json, "messages_json"));
    return object->restore(json);
  });
}

kl_status kl_session_tokens(kl_session* session, int32_t** ids, size_t* count) {
  return guard([&]() -> Status {
    KL_TRY(clear(ids, "ids"));
    if (!count) return error(Code::invalid_argument, "count is null");
    KL_ASSIGN(const auto object, find<Session>(session));
    KL_ASSIGN(const auto tokens, object->tokens());
    return give_ids(tokens, ids, count);
  });
}

kl_status kl_session_send(kl_session* session, const char* text, const kl_send_options* options, kl_generation** generation) {
  return guard([&]() -> Status {
    KL_TRY(clear(generation, "generation"));
    KL_ASSIGN(const auto object, find<Session>(session));
    KL_ASSIGN(const std::string content, need_text(text, "text"));
    if (!is_utf8(content)) return error(Code::invalid_argument, "the message is not valid UTF-8");
    KL_ASSIGN(const GenerationOptions o, read_send_options(options));
    Json messages{Json::Array()};
    messages.array().push_back(make_message("user", content));
    if (!o.images.empty()) messages.array().back().set("content", images_and_text(o.images.size(), content));
    KL_ASSIGN(const auto started, object->send(messages, o));
    return give_generation(started, generation);
  });
}

kl_status kl_session_send_json(kl_session* session, const char* messages_json, const kl_send_options* options, kl_generation** generation) {
  return guard([&]() -> Status {
    KL_TRY(clear(generation, "generation"));
    KL_ASSIGN(const auto object, find<Session>(session));
    KL_ASSIGN(const Json messages, message_array(messages_json));
    KL_ASSIGN(const GenerationOptions o, read_send_options(options));
    KL_ASSIGN(const auto started, object->send(messages, o));
    return give_generation(started, generation);
  });
}

kl_status kl_session_generate_raw(kl_session* session, const kl_prompt* prompt, const kl_send_options* options,
                                  kl_generation** generation) {
  return guard([&]() -> Status {
    KL_TRY(clear(generation, "generation"));
    KL_ASSIGN(const auto object, find<Session>(session));
    kl_prompt p;
    KL_TRY(read_struct(prompt, "kl_prompt", false, p));
    KL_ASSIGN(const GenerationOptions o, read_send_options(options));
    std::vector<int32_t> tokens;
    if (p.ids) {
      if (p.id_count > UINT32_MAX) return error(Code::invalid_argument, "%zu token ids are too many", p.id_count);
      tokens.assign(p.ids, p.ids + p.id_count);
    } else {
      if (!p.text) return error(Code::invalid_argument, "kl_prompt has neither text nor ids");
      KL_ASSIGN(tokens, object->model().tokenizer().encode({p.text, p.text_length}, p.special != 0, {.add_special = p.no_bos == 0}));
    }
    KL_ASSIGN(const auto started, object->generate_raw(std::move(tokens), o));
    return give_generation(started, generation);
  });
}

}  // extern "C"
