#include "engine/c_api.h"

#include <cstddef>
#include <cstdlib>

namespace kl::c_api {
namespace {

// No struct of the boundary ends in padding: what an older program left there would be read as the first field added later.
#define KL_ENDS_WITH(type, last) static_assert(sizeof(type) == offsetof(type, last) + sizeof(type::last), #type " ends in padding")
KL_ENDS_WITH(kl_engine_options, reserved);
KL_ENDS_WITH(kl_image_source, premultiplied);
KL_ENDS_WITH(kl_image_options, unsliced);
KL_ENDS_WITH(kl_image_info, key);
KL_ENDS_WITH(kl_feature_cache_stats, decodes_spared);
KL_ENDS_WITH(kl_device_info, capabilities);
KL_ENDS_WITH(kl_roofline, fp32_gflop_per_s);
KL_ENDS_WITH(kl_engine_stats, steps_ahead);
KL_ENDS_WITH(kl_source, has_fd);
KL_ENDS_WITH(kl_model_options, projector_source);  // NOLINT(bugprone-sizeof-expression): a pointer is meant
KL_ENDS_WITH(kl_memory_estimate, encoder);
KL_ENDS_WITH(kl_model_info, encoder_bytes);
KL_ENDS_WITH(kl_tensor_info, offset);
KL_ENDS_WITH(kl_tokenize_options, no_bos);
KL_ENDS_WITH(kl_render_options, now);
KL_ENDS_WITH(kl_sampling, seed);
KL_ENDS_WITH(kl_session_options, template_text);
KL_ENDS_WITH(kl_send_options, image_count);
KL_ENDS_WITH(kl_prompt, no_bos);
KL_ENDS_WITH(kl_event, prompt_total);
KL_ENDS_WITH(kl_listener, post_user);
KL_ENDS_WITH(kl_generation_stats, device_changes);
KL_ENDS_WITH(kl_evaluation, image_token);
KL_ENDS_WITH(kl_evaluation_stats, macs);
#undef KL_ENDS_WITH

constexpr size_t kMaxImages = 64;  // of one message

struct LastError {
  std::string text;
  const char* shown = "";
};
LastError& last_error() {
  thread_local LastError last;
  return last;
}

}  // namespace

kl_status fail(const Status& status) noexcept {
  LastError& last = last_error();
  last.shown = code_name(status.code());
  if (!status.message().empty()) {
    try {
      last.text = is_utf8(status.message()) ? status.message() : std::string(code_name(status.code()));
      last.shown = last.text.c_str();
    } catch (const std::exception&) {  // NOLINT(bugprone-empty-catch): the code's name is shown instead
    }
  }
  return static_cast<kl_status>(status.code());
}

Status give_text(std::string_view text, char** out, size_t* length) {
  auto* const memory = static_cast<char*>(std::malloc(text.size() + 1));
  if (!memory) return error(Code::out_of_memory, "%zu bytes for a text", text.size() + 1);
  if (!text.empty()) std::memcpy(memory, text.data(), text.size());
  memory[text.size()] = 0;
  *out = memory;
  if (length) *length = text.size();
  return {};
}

Status give_ids(const std::vector<int32_t>& ids, int32_t** out, size_t* count) {
  auto* const memory = static_cast<int32_t*>(std::malloc(std::max<size_t>(ids.size(), 1) * sizeof(int32_t)));
  if (!memory) return error(Code::out_of_memory, "%zu token ids", ids.size());
  if (!ids.empty()) std::memcpy(memory, ids.data(), ids.size() * sizeof(int32_t));
  *out = memory;
  *count = ids.size();
  return {};
}

void copy_cut(std::string_view text, char* out, size_t capacity) {
  if (!is_utf8(text)) text = "";
  size_t n = std::min(text.size(), capacity - 1);
  while (n > 0 && n < text.size() && (static_cast<unsigned char>(text[n]) & 0xC0) == 0x80) --n;
  if (n > 0) std::memcpy(out, text.data(), n);
  out[n] = 0;
}

Result<uint32_t> ranged(const char* name, int64_t value, int64_t min, int64_t max) {
  if (value >= min && value <= max) return static_cast<uint32_t>(value);
  return error(Code::invalid_argument, "%s is %lld; %lld to %lld was expected", name, static_cast<long long>(value),
               static_cast<long long>(min), static_cast<long long>(max));
}

Result<std::string> need_text(const char* text, const char* name) {
  if (!text) return error(Code::invalid_argument, "%s is null", name);
  return std::string(text);
}

Result<SamplingOptions> read_sampling(const kl_sampling* given) {
  kl_sampling s;
  KL_TRY(read_struct(given, "kl_sampling", true, s));
  SamplingOptions o{.temperature = s.temperature,
                    .top_k = s.top_k,
                    .top_p = s.top_p == 0 ? 1 : s.top_p,
                    .min_p = s.min_p,
                    .repeat_penalty = s.repeat_penalty == 0 ? 1 : s.repeat_penalty,
                    .presence_penalty = s.presence_penalty,
                    .frequency_penalty = s.frequency_penalty,
                    .repeat_window = s.repeat_window == 0 ? 64 : s.repeat_window,
                    .seed = s.seed};
  KL_TRY(check(o));
  return o;
}

Result<GenerationOptions> read_send_options(const kl_send_options* given) {
  kl_send_options s;
  KL_TRY(read_struct(given, "kl_send_options", true, s));
  GenerationOptions o;
  if (s.sampling) {
    KL_ASSIGN(o.sampling, read_sampling(s.sampling));
  }
  o.max_tokens = s.max_tokens;
  KL_ASSIGN(o.logprobs, ranged("logprobs", s.logprobs, 0, kMaxLogprobs));
  o.ignore_end = s.ignore_end != 0;
  KL_ASSIGN(o.event_queue, ranged("event_queue", s.event_queue == 0 ? 64 : s.event_queue, 2, 65536));
  if (s.stop_count > StopTexts::kMaxTexts)
    return error(Code::invalid_argument, "%zu stop texts, at most %zu are allowed", s.stop_count, StopTexts::kMaxTexts);
  if (s.stop_count > 0 && !s.stop) return error(Code::invalid_argument, "stop is null, but stop_count is %zu", s.stop_count);
  for (size_t i = 0; i < s.stop_count; ++i) {
    KL_ASSIGN(std::string text, need_text(s.stop[i], "a stop text"));
    o.stop.push_back(std::move(text));
  }
  if (s.image_count > kMaxImages)
    return error(Code::invalid_argument, "%zu images in one message, at most %zu are allowed", s.image_count, kMaxImages);
  if (s.image_count > 0 && !s.images) return error(Code::invalid_argument, "images is null, but image_count is %zu", s.image_count);
  for (size_t i = 0; i < s.image_count; ++i) {
    KL_ASSIGN(auto image, find<Image>(s.images[i]));
    o.images.push_back(std::move(image));
  }
  return o;
}

Result<ModelSource> read_source(const kl_source* given) {
  kl_source s;
  KL_TRY(read_struct(given, "kl_source", false, s));
  if ((s.path != nullptr) + (s.data != nullptr) + (s.has_fd != 0) != 1) {
    return error(Code::invalid_argument, "kl_source: exactly one of path, data and has_fd was expected");
  }
  if (s.path) return ModelSource{.path = s.path, .data = {}, .kind = ModelSource::Kind::path};
  if (s.data) return ModelSource{.path = {}, .data = {static_cast<const std::byte*>(s.data), s.data_size}, .kind = ModelSource::Kind::data};
  if (s.fd < 0) return error(Code::invalid_argument, "kl_source: the file descriptor is %d", s.fd);
  return ModelSource{.path = {}, .data = {}, .fd = s.fd, .kind = ModelSource::Kind::fd};
}

Result<ModelOptions> read_model_options(const kl_model_options* given, LoadProgress& progress) {
  kl_model_options s;
  KL_TRY(read_struct(given, "kl_model_options", true, s));
  ModelOptions o;
  KL_ASSIGN(o.context, ranged("context", s.context, 0, 1 << 24));
  KL_ASSIGN(const uint32_t kv, ranged("kv", s.kv, KL_KV_DEFAULT, KL_KV_Q4));
  if (kv > 0) o.kv = static_cast<KvFormat>(kv - 1);
  KL_ASSIGN(const uint32_t activations, ranged("activations", s.activations, KL_ACTIVATIONS_DEFAULT, KL_ACTIVATIONS_Q8));
  if (activations > 0) o.activations = static_cast<ActivationFormat>(activations - 1);
  o.use_mmap = s.no_mmap == 0;
  o.vocabulary_only = s.vocabulary_only != 0;
  o.pack_cache = s.no_pack_cache == 0;
  KL_ASSIGN(o.max_sequences, ranged("max_sequences", s.max_sequences == 0 ? 32 : s.max_sequences, 1, 1024));
  KL_ASSIGN(o.max_rows, ranged("max_rows", s.max_rows == 0 ? 512 : s.max_rows, 1, 1 << 16));
  KL_ASSIGN(o.max_logit_rows, ranged("max_logit_rows", s.max_logit_rows == 0 ? 64 : s.max_logit_rows, 1, 1 << 16));
  o.kv_tokens = s.kv_tokens;
  o.memory_budget = s.memory_budget;
  if (s.cache_dir) o.cache_dir = s.cache_dir;
  if (s.projector && s.projector_source) return error(Code::invalid_argument, "projector and projector_source are both given");
  if (s.projector) o.projector = ModelSource{.path = s.projector, .data = {}};
  if (s.projector_source) {
    KL_ASSIGN(o.projector, read_source(s.projector_source));
  }
  if (s.progress) progress = [fn = s.progress, user = s.progress_user](double fraction) { return fn(user, fraction) == 0; };
  return o;
}

}  // namespace kl::c_api

extern "C" {

const char* kl_status_name(kl_status status) { return kl::code_name(static_cast<kl::Code>(status)); }
const char* kl_last_error(void) { return kl::c_api::last_error().shown; }
const char* kl_version(void) { return "0.1.0"; }
void kl_free(void* memory) { std::free(memory); }

}  // extern "C"
