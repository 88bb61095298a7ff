// Conversations. Part of <kinglet/kinglet.hpp>.
#pragma once
#include <kinglet/generation.hpp>

#include <vector>

namespace kinglet {

// How the next token is chosen; see kl_sampling. All defaults: greedy.
struct Sampling {
  float temperature = 0;
  int32_t top_k = 0;
  float top_p = 0;
  float min_p = 0;
  float repeat_penalty = 0;
  float presence_penalty = 0;
  float frequency_penalty = 0;
  uint32_t repeat_window = 0;
  uint64_t seed = 0;

  kl_sampling to_c() const {
    return {sizeof(kl_sampling), temperature,       top_k,         top_p, min_p, repeat_penalty,
            presence_penalty,    frequency_penalty, repeat_window, seed};
  }
};

struct SessionOptions {
  std::string system = {};  // system prompt; empty: none
  Sampling sampling = {};
  std::string template_json = {};  // more template variables, as a JSON object
  std::string template_text = {};  // Jinja; empty: the model's own
};

struct SendOptions {
  std::optional<Sampling> sampling = {};  // empty: the session's
  uint32_t max_tokens = 0;                // 0: until the model ends or the context is full
  uint32_t logprobs = 0;
  bool ignore_end = false;
  uint32_t event_queue = 0;  // 0: 64
  std::vector<std::string> stop = {};
};

class Session {
 public:
  explicit Session(kl_session* handle) : handle_(handle) {}
  kl_session* get() const { return handle_.get(); }

  // A user's message; the answer streams from the generation. kl_session_send
  Generation send(const std::string& text, const SendOptions& options = {}) {
    return start(options, [&](const kl_send_options* raw, kl_generation** out) { return kl_session_send(get(), text.c_str(), raw, out); });
  }
  // One message object or an array of them, as JSON. kl_session_send_json
  Generation send_json(const std::string& messages, const SendOptions& options = {}) {
    return start(options,
                 [&](const kl_send_options* raw, kl_generation** out) { return kl_session_send_json(get(), messages.c_str(), raw, out); });
  }
  // Continues a text, or tokens, without chat template. kl_session_generate_raw
  Generation continue_text(std::string_view text, const SendOptions& options = {}, bool special = false, bool no_bos = false) {
    auto prompt = detail::sized<kl_prompt>();
    prompt.text = text.empty() ? "" : text.data();
    prompt.text_length = text.size();
    prompt.special = special ? 1 : 0;
    prompt.no_bos = no_bos ? 1 : 0;
    return continue_prompt(prompt, options);
  }
  Generation continue_ids(std::span<const int32_t> ids, const SendOptions& options = {}) {
    auto prompt = detail::sized<kl_prompt>();
    prompt.ids = ids.data();
    prompt.id_count = ids.size();
    return continue_prompt(prompt, options);
  }

  Result<void> reset() { return detail::done(kl_session_reset(get())); }
  Result<Session> fork() const {
    kl_session* copy = nullptr;
    if (const kl_status status = kl_session_fork(get(), &copy); status != KL_OK) return detail::last_error(status);
    return Session(copy);
  }
  // The messages as a JSON array, system prompt included; restore takes such an array.
  Result<std::string> history() const {
    char* text = nullptr;
    size_t length = 0;
    if (const kl_status status = kl_session_history(get(), &text, &length); status != KL_OK) return detail::last_error(status);
    return detail::taken(text, length);
  }
  Result<void> restore(const std::string& messages_json) { return detail::done(kl_session_restore(get(), messages_json.c_str())); }
  Result<std::vector<int32_t>> tokens() const {
    int32_t* ids = nullptr;
    size_t count = 0;
    if (const kl_status status = kl_session_tokens(get(), &ids, &count); status != KL_OK) return detail::last_error(status);
    std::vector<int32_t> result(ids, ids + count);
    kl_free(ids);
    return result;
  }

 private:
  template <class Call>
  static Generation start(const SendOptions& options, const Call& call) {
    auto raw = detail::sized<kl_send_options>();
    const kl_sampling sampling = options.sampling.value_or(Sampling{}).to_c();
    raw.sampling = options.sampling ? &sampling : nullptr;
    raw.max_tokens = options.max_tokens;
    raw.logprobs = options.logprobs;
    raw.ignore_end = options.ignore_end ? 1 : 0;
    raw.event_queue = options.event_queue;
    std::vector<const char*> stop;
    for (const std::string& text : options.stop) stop.push_back(text.c_str());
    raw.stop = stop.data();
    raw.stop_count = stop.size();
    kl_generation* generation = nullptr;
    if (const kl_status status = call(&raw, &generation); status != KL_OK) return Generation(detail::last_error(status));
    return Generation(generation);
  }
  Generation continue_prompt(const kl_prompt& prompt, const SendOptions& options) {
    return start(options,
                 [&](const kl_send_options* raw, kl_generation** out) { return kl_session_generate_raw(get(), &prompt, raw, out); });
  }

  detail::Handle<kl_session, kl_session_destroy> handle_;
};

}  // namespace kinglet
