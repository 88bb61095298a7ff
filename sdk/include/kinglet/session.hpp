// kinglet::Session and kinglet::Sequence. Include <kinglet/kinglet.hpp>.
#ifndef KINGLET_SESSION_HPP
#define KINGLET_SESSION_HPP

#include <kinglet/generation.hpp>
#include <kinglet/image.hpp>

#include <functional>
#include <initializer_list>
#include <span>

namespace kinglet {

// See kl_sampling; all defaults: greedy.
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

  kl_sampling c() const {
    return {sizeof(kl_sampling), temperature,       top_k,         top_p, min_p, repeat_penalty,
            presence_penalty,    frequency_penalty, repeat_window, seed};
  }
};

struct SessionOptions {
  std::string system = {};  // empty: none
  Sampling sampling = {};
  std::string template_json = {};  // more template variables; empty: none
  std::string template_text = {};  // instead of the model's; empty: the model's
};

struct SendOptions {
  std::optional<Sampling> sampling = {};  // empty: the session's
  uint32_t max_tokens = 0;
  uint32_t logprobs = 0;
  bool ignore_end = false;
  uint32_t event_queue = 0;
  std::vector<std::string> stop = {};
  std::vector<const Image*> images = {};  // of this message, in order
};

class Session {
 public:
  explicit Session(kl_session* handle) : handle_(handle) {}
  kl_session* get() const { return handle_.get(); }

  // The answer to a user message. When it cannot start, iterating gives nothing and ending() has the error.
  Generation send(const std::string& text, const SendOptions& options = {}) const {
    return start(options, [&](const kl_send_options& o, kl_generation** out) { return kl_session_send(get(), text.c_str(), &o, out); });
  }
  // Pictures before the text: send("What is in this picture?", {image}).
  Generation send(const std::string& text, std::initializer_list<std::reference_wrapper<const Image>> images) const {
    SendOptions options;
    for (const Image& image : images) options.images.push_back(&image);
    return send(text, options);
  }
  // A message object or an array of them, as JSON. Each {"type": "image"} in a content takes the next of options.images.
  Generation send_json(const std::string& messages, const SendOptions& options = {}) const {
    return start(options,
                 [&](const kl_send_options& o, kl_generation** out) { return kl_session_send_json(get(), messages.c_str(), &o, out); });
  }
  // Continues text, or tokens, without a template.
  Generation raw(std::string_view text, const SendOptions& options = {}) const {
    auto prompt = detail::sized<kl_prompt>();
    prompt.text = text.empty() ? "" : text.data();
    prompt.text_length = text.size();
    return start(options, [&](const kl_send_options& o, kl_generation** out) { return kl_session_generate_raw(get(), &prompt, &o, out); });
  }
  Generation raw(std::span<const int32_t> ids, const SendOptions& options = {}) const {
    auto prompt = detail::sized<kl_prompt>();
    prompt.ids = ids.data();
    prompt.id_count = ids.size();
    return start(options, [&](const kl_send_options& o, kl_generation** out) { return kl_session_generate_raw(get(), &prompt, &o, out); });
  }

  Expected<void> reset() const { return detail::done(kl_session_reset(get())); }
  Expected<Session> fork() const {
    kl_session* copy = nullptr;
    if (const kl_status status = kl_session_fork(get(), &copy); status != KL_OK) return Error::last(status);
    return Session(copy);
  }
  Expected<std::string> history() const {
    detail::Text text;
    if (const kl_status status = kl_session_history(get(), text.data(), text.length()); status != KL_OK) return Error::last(status);
    return text.str();
  }
  Expected<void> restore(const std::string& messages_json) const { return detail::done(kl_session_restore(get(), messages_json.c_str())); }

 private:
  template <class Call>
  static Generation start(const SendOptions& options, const Call& call) {
    auto o = detail::sized<kl_send_options>();
    kl_sampling sampling{};
    if (options.sampling) {
      sampling = options.sampling->c();
      o.sampling = &sampling;
    }
    o.max_tokens = options.max_tokens;
    o.logprobs = options.logprobs;
    o.ignore_end = options.ignore_end ? 1 : 0;
    o.event_queue = options.event_queue;
    std::vector<const char*> stop;
    for (const std::string& text : options.stop) stop.push_back(text.c_str());
    o.stop = stop.data();
    o.stop_count = stop.size();
    std::vector<kl_image*> images;
    for (const Image* image : options.images) images.push_back(image ? image->get() : nullptr);
    o.images = images.data();
    o.image_count = images.size();
    kl_generation* generation = nullptr;
    if (const kl_status status = call(o, &generation); status != KL_OK) return Generation(Error::last(status));
    return Generation(generation);
  }
  detail::Handle<kl_session, kl_session_destroy> handle_;
};

// Tokens in a cache, for logits without sampling.
class Sequence {
 public:
  explicit Sequence(kl_sequence* handle, kl_model* model) : handle_(handle), model_(model) {}
  kl_sequence* get() const { return handle_.get(); }

  // Appends ids; logits [rows V] of the last `rows` of them, rows = logits.size() / V.
  Expected<void> append(std::span<const int32_t> ids, std::span<float> logits = {}, size_t rows = 0) const {
    kl_evaluation item{sizeof(kl_evaluation), get(), ids.data(), ids.size(), logits.data(), rows, nullptr, 0, 0};
    return detail::done(kl_evaluate(model_, &item, 1, nullptr));
  }
  // The same with the rows of ready images, in order, where ids are image_token.
  Expected<void> append(std::span<const int32_t> ids, const std::vector<const Image*>& images, int32_t image_token,
                        std::span<float> logits = {}, size_t rows = 0) const {
    std::vector<kl_image*> handles;
    handles.reserve(images.size());
    for (const Image* image : images) handles.push_back(image ? image->get() : nullptr);
    kl_evaluation item{sizeof(kl_evaluation),
                       get(),
                       ids.data(),
                       ids.size(),
                       logits.data(),
                       rows,
                       handles.data(),
                       static_cast<uint32_t>(handles.size()),
                       image_token};
    return detail::done(kl_evaluate(model_, &item, 1, nullptr));
  }
  Expected<void> truncate(uint32_t length) const { return detail::done(kl_sequence_truncate(get(), length)); }
  uint32_t length() const {
    uint32_t length = 0;
    (void)kl_sequence_length(get(), &length);
    return length;
  }
  Expected<Sequence> fork() const {
    kl_sequence* copy = nullptr;
    if (const kl_status status = kl_sequence_fork(get(), &copy); status != KL_OK) return Error::last(status);
    return Sequence(copy, model_);
  }

 private:
  detail::Handle<kl_sequence, kl_sequence_destroy> handle_;
  kl_model* model_ = nullptr;  // the Model must be there while append is used
};

}  // namespace kinglet

#endif
