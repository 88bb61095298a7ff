// Models: sessions, sequences, tokenizer, chat template. Part of <kinglet/kinglet.hpp>.
#pragma once
#include <kinglet/model.h>
#include <kinglet/sequence.hpp>
#include <kinglet/session.hpp>

namespace kinglet {

enum class Kv : int { standard = KL_KV_DEFAULT, f32 = KL_KV_F32, f16 = KL_KV_F16, q8 = KL_KV_Q8, q4 = KL_KV_Q4 };
enum class Activations : int {
  standard = KL_ACTIVATIONS_DEFAULT,
  f32 = KL_ACTIVATIONS_F32,
  f16 = KL_ACTIVATIONS_F16,
  q8 = KL_ACTIVATIONS_Q8
};
enum class ModelText : int {
  program = KL_TEXT_PROGRAM,
  plan = KL_TEXT_PLAN,
  support = KL_TEXT_SUPPORT,
  chat_template = KL_TEXT_CHAT_TEMPLATE
};

// See kl_model_options; zero and empty are its defaults.
struct ModelOptions {
  uint32_t context = 0;
  Kv kv = Kv::standard;
  Activations activations = Activations::standard;
  bool mmap = true;
  bool vocabulary_only = false;
  bool pack_cache = true;
  uint32_t max_sequences = 0;
  uint32_t max_rows = 0;
  uint32_t max_logit_rows = 0;
  uint64_t kv_tokens = 0;
  uint64_t memory_budget = 0;
  std::string cache_dir = {};
  std::function<bool(double fraction)> progress = {};  // false stops the load; runs on the thread that loads, and must not throw

  kl_model_options to_c() const {
    auto raw = detail::sized<kl_model_options>();
    raw.context = context;
    raw.kv = static_cast<int32_t>(kv);
    raw.activations = static_cast<int32_t>(activations);
    raw.no_mmap = mmap ? 0 : 1;
    raw.vocabulary_only = vocabulary_only ? 1 : 0;
    raw.no_pack_cache = pack_cache ? 0 : 1;
    raw.max_sequences = max_sequences;
    raw.max_rows = max_rows;
    raw.max_logit_rows = max_logit_rows;
    raw.kv_tokens = kv_tokens;
    raw.memory_budget = memory_budget;
    raw.cache_dir = detail::or_null(cache_dir);
    if (progress) {
      raw.progress = [](void* user, double fraction) { return static_cast<const ModelOptions*>(user)->progress(fraction) ? 0 : 1; };
      raw.progress_user =
          const_cast<ModelOptions*>(this);  // NOLINT(cppcoreguidelines-pro-type-const-cast): the C header has one kind of user pointer
    }
    return raw;
  }
};

using ModelInfo = kl_model_info;
using MemoryEstimate = kl_memory_estimate;

class Model {
 public:
  explicit Model(kl_model* handle) : handle_(handle) {}
  kl_model* get() const { return handle_.get(); }

  Result<Session> session(const SessionOptions& options = {}) const {
    auto raw = detail::sized<kl_session_options>();
    const kl_sampling sampling = options.sampling.to_c();
    raw.system = detail::or_null(options.system);
    raw.sampling = &sampling;
    raw.template_json = detail::or_null(options.template_json);
    raw.template_text = detail::or_null(options.template_text);
    kl_session* session = nullptr;
    if (const kl_status status = kl_session_new(get(), &raw, &session); status != KL_OK) return detail::last_error(status);
    return Session(session);
  }

  Result<Sequence> sequence() const {
    kl_sequence* sequence = nullptr;
    if (const kl_status status = kl_sequence_new(get(), &sequence); status != KL_OK) return detail::last_error(status);
    return Sequence(sequence);
  }
  // kl_evaluate: all or nothing; blocks.
  Result<EvaluationStats> evaluate(std::span<const Evaluation> items) const {
    auto info = detail::sized<kl_model_info>();
    if (const kl_status status = kl_model_get_info(get(), &info); status != KL_OK) return detail::last_error(status);
    std::vector<kl_evaluation> raw;
    for (const Evaluation& item : items) {
      auto entry = detail::sized<kl_evaluation>();
      entry.sequence = item.sequence == nullptr ? nullptr : item.sequence->get();
      entry.ids = item.ids.data();
      entry.count = item.ids.size();
      entry.logits = item.logits.empty() ? nullptr : item.logits.data();
      entry.logit_rows = item.logits.size() / info.vocabulary;
      raw.push_back(entry);
    }
    auto stats = detail::sized<EvaluationStats>();
    if (const kl_status status = kl_evaluate(get(), raw.data(), raw.size(), &stats); status != KL_OK) return detail::last_error(status);
    return stats;
  }

  Result<std::vector<int32_t>> tokenize(std::string_view text, bool special = false, bool no_bos = false) const {
    auto options = detail::sized<kl_tokenize_options>();
    options.special = special ? 1 : 0;
    options.no_bos = no_bos ? 1 : 0;
    int32_t* ids = nullptr;
    size_t count = 0;
    if (const kl_status status = kl_tokenize(get(), text.data(), text.size(), &options, &ids, &count); status != KL_OK)
      return detail::last_error(status);
    std::vector<int32_t> result(ids, ids + count);
    kl_free(ids);
    return result;
  }
  Result<std::string> detokenize(std::span<const int32_t> ids) const {
    return text_of([&](char** text, size_t* length) { return kl_detokenize(get(), ids.data(), ids.size(), text, length); });
  }
  // The chat template (empty: the model's own) applied to a JSON object of variables. kl_render
  Result<std::string> render(const std::string& context_json, const std::string& template_text = {}, const std::string& now = {}) const {
    auto options = detail::sized<kl_render_options>();
    options.context_json = context_json.c_str();
    options.template_text = detail::or_null(template_text);
    options.now = detail::or_null(now);
    return text_of([&](char** text, size_t* length) { return kl_render(get(), &options, text, length); });
  }

  Result<ModelInfo> info() const {
    auto info = detail::sized<ModelInfo>();
    if (const kl_status status = kl_model_get_info(get(), &info); status != KL_OK) return detail::last_error(status);
    return info;
  }
  // All metadata as a JSON object; arrays longer than max_array are summarized, 0: none is.
  Result<std::string> metadata(size_t max_array = 0) const {
    return text_of([&](char** text, size_t* length) { return kl_model_metadata(get(), max_array, text, length); });
  }
  Result<std::string> text(ModelText kind, uint32_t rows = 1) const {
    return text_of([&](char** text, size_t* length) { return kl_model_text(get(), static_cast<int32_t>(kind), rows, text, length); });
  }

 private:
  template <class Call>
  static Result<std::string> text_of(const Call& call) {
    char* text = nullptr;
    size_t length = 0;
    if (const kl_status status = call(&text, &length); status != KL_OK) return detail::last_error(status);
    return detail::taken(text, length);
  }

  detail::Handle<kl_model, kl_model_destroy> handle_;
};

}  // namespace kinglet
