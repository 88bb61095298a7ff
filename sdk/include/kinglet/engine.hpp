// kinglet::Engine and kinglet::Model. Include <kinglet/kinglet.hpp>.
#ifndef KINGLET_ENGINE_HPP
#define KINGLET_ENGINE_HPP

#include <kinglet/session.hpp>

namespace kinglet {

enum class Backend : int32_t {
  automatic = KL_BACKEND_AUTO,
  cpu = KL_BACKEND_CPU,
  reference = KL_BACKEND_REFERENCE,
  vulkan = KL_BACKEND_VULKAN,
  cuda = KL_BACKEND_CUDA
};
enum class Kv : int32_t { automatic = KL_KV_DEFAULT, f32 = KL_KV_F32, f16 = KL_KV_F16, q8 = KL_KV_Q8, q4 = KL_KV_Q4 };
enum class Activations : int32_t {
  automatic = KL_ACTIVATIONS_DEFAULT,
  f32 = KL_ACTIVATIONS_F32,
  f16 = KL_ACTIVATIONS_F16,
  q8 = KL_ACTIVATIONS_Q8
};

struct EngineOptions {
  Backend backend = Backend::automatic;
  int32_t device = 0;
  int32_t threads = 0;
  std::string cache_dir = {};
  uint64_t memory_budget = 0;
  // Bytes of remembered pictures per tier; 0: the default. Disk needs cache_dir.
  uint64_t feature_device_bytes = 0, feature_host_bytes = 0, feature_disk_bytes = 0;
  bool feature_cache = true, feature_disk_cache = true;
  bool fallback = true;  // to the next backend when the device is lost
  // Called from any thread; must outlive the engine (a plain function and its data: the C boundary takes no more).
  kl_log_fn log = nullptr;
  void* log_user = nullptr;
  kl_log_level min_log_level = KL_LOG_INFO;
};

struct ModelOptions {
  uint32_t context = 0;
  Kv kv = Kv::automatic;
  Activations activations = Activations::automatic;
  bool mmap = true;
  bool vocabulary_only = false;
  bool pack_cache = true;
  uint32_t max_sequences = 0, max_rows = 0, max_logit_rows = 0;
  uint64_t kv_tokens = 0;
  uint64_t memory_budget = 0;
  std::string cache_dir = {};
  std::function<bool(double fraction)> progress = {};  // on the loading thread; false stops the load
  std::string projector = {};                          // file of the vision encoder; empty: a model without eyes
};

class Model {
 public:
  explicit Model(kl_model* handle) : handle_(handle) {}
  kl_model* get() const { return handle_.get(); }

  Expected<Session> session(const SessionOptions& options = {}) const {
    auto o = detail::sized<kl_session_options>();
    const kl_sampling sampling = options.sampling.c();
    o.sampling = &sampling;
    if (!options.system.empty()) o.system = options.system.c_str();
    if (!options.template_json.empty()) o.template_json = options.template_json.c_str();
    if (!options.template_text.empty()) o.template_text = options.template_text.c_str();
    kl_session* session = nullptr;
    if (const kl_status status = kl_session_new(get(), &o, &session); status != KL_OK) return Error::last(status);
    return Session(session);
  }
  Expected<Sequence> sequence() const {
    kl_sequence* sequence = nullptr;
    if (const kl_status status = kl_sequence_new(get(), &sequence); status != KL_OK) return Error::last(status);
    return Sequence(sequence, get());
  }
  // Begins with a picture, in the background: a file, a file in memory (copied), or pixels.
  Expected<Image> image(const std::string& path, const ImageOptions& options = {}) const {
    auto source = detail::sized<kl_image_source>();
    source.path = path.c_str();
    return image(source, options);
  }
  Expected<Image> image(std::span<const std::byte> file, const ImageOptions& options = {}) const {
    auto source = detail::sized<kl_image_source>();
    source.data = file.data();
    source.data_size = file.size();
    return image(source, options);
  }
  Expected<Image> image(const Pixels& pixels, const ImageOptions& options = {}) const {
    auto source = detail::sized<kl_image_source>();
    source.pixels = pixels.data;
    source.width = pixels.width;
    source.height = pixels.height;
    source.stride = pixels.stride;
    source.pixel_format = pixels.format;
    source.premultiplied = pixels.premultiplied ? 1 : 0;
    return image(source, options);
  }
  Expected<Image> image(const kl_image_source& source, const ImageOptions& options = {}) const {
    auto o = detail::sized<kl_image_options>();
    o.max_rows = options.max_rows;
    o.prune = options.prune;
    o.no_cache = options.cache ? 0 : 1;
    o.unsliced = options.unsliced ? 1 : 0;
    kl_image* image = nullptr;
    if (const kl_status status = kl_image_open(get(), &source, &o, &image); status != KL_OK) return Error::last(status);
    return Image(image);
  }
  kl_model_info info() const {
    auto info = detail::sized<kl_model_info>();
    (void)kl_model_get_info(get(), &info);
    return info;
  }
  Expected<std::vector<int32_t>> tokenize(std::string_view text, bool special = false) const {
    kl_tokenize_options o{sizeof(kl_tokenize_options), special ? 1 : 0, 0};
    int32_t* ids = nullptr;
    size_t count = 0;
    if (const kl_status status = kl_tokenize(get(), text.data(), text.size(), &o, &ids, &count); status != KL_OK)
      return Error::last(status);
    std::vector<int32_t> out(ids, ids + count);
    kl_free(ids);
    return out;
  }
  Expected<std::string> detokenize(std::span<const int32_t> ids) const {
    detail::Text text;
    if (const kl_status status = kl_detokenize(get(), ids.data(), ids.size(), text.data(), text.length()); status != KL_OK)
      return Error::last(status);
    return text.str();
  }
  // The chat template (empty: the model's own) applied to a JSON object of variables.
  Expected<std::string> render(const std::string& context_json, const std::string& template_text = {}) const {
    auto o = detail::sized<kl_render_options>();
    o.context_json = context_json.c_str();
    if (!template_text.empty()) o.template_text = template_text.c_str();
    detail::Text text;
    if (const kl_status status = kl_render(get(), &o, text.data(), text.length()); status != KL_OK) return Error::last(status);
    return text.str();
  }
  // A text for people: kl_model_text_kind.
  Expected<std::string> text(kl_model_text_kind kind, uint32_t rows = 1) const {
    detail::Text text;
    if (const kl_status status = kl_model_text(get(), kind, rows, text.data(), text.length()); status != KL_OK) return Error::last(status);
    return text.str();
  }
  Expected<std::string> metadata(size_t max_array = 0) const {
    detail::Text text;
    if (const kl_status status = kl_model_metadata(get(), max_array, text.data(), text.length()); status != KL_OK)
      return Error::last(status);
    return text.str();
  }

 private:
  detail::Handle<kl_model, kl_model_destroy> handle_;
};

class Engine {
 public:
  static Expected<Engine> open(const EngineOptions& options = {}) {
    auto o = detail::sized<kl_engine_options>();
    o.backend = static_cast<int32_t>(options.backend);
    o.device = options.device;
    o.threads = options.threads;
    if (!options.cache_dir.empty()) o.cache_dir = options.cache_dir.c_str();
    o.memory_budget = options.memory_budget;
    o.feature_device_bytes = options.feature_device_bytes;
    o.feature_host_bytes = options.feature_host_bytes;
    o.feature_disk_bytes = options.feature_disk_bytes;
    o.no_feature_cache = options.feature_cache ? 0 : 1;
    o.no_feature_disk_cache = options.feature_disk_cache ? 0 : 1;
    o.no_fallback = options.fallback ? 0 : 1;
    o.log = options.log;
    o.log_user = options.log_user;
    o.min_log_level = options.min_log_level;
    kl_engine* engine = nullptr;
    if (const kl_status status = kl_engine_open(&o, &engine); status != KL_OK) return Error::last(status);
    return Engine(engine);
  }
  explicit Engine(kl_engine* handle) : handle_(handle) {}
  kl_engine* get() const { return handle_.get(); }

  Expected<Model> load(const std::string& path, const ModelOptions& options = {}) const {
    auto source = detail::sized<kl_source>();
    source.path = path.c_str();
    return load(source, options);
  }
  // The bytes must stay unchanged while the model is there.
  Expected<Model> load(std::span<const std::byte> file, const ModelOptions& options = {}) const {
    auto source = detail::sized<kl_source>();
    source.data = file.data();
    source.data_size = file.size();
    return load(source, options);
  }
  Expected<Model> load(const kl_source& source, const ModelOptions& options = {}) const {
    const kl_model_options o = c(options);
    kl_model* model = nullptr;
    if (const kl_status status = kl_model_load_source(get(), &source, &o, &model); status != KL_OK) return Error::last(status);
    return Model(model);
  }
  Expected<kl_memory_estimate> estimate(const std::string& path, const ModelOptions& options = {}) const {
    auto source = detail::sized<kl_source>();
    source.path = path.c_str();
    const kl_model_options o = c(options);
    auto estimate = detail::sized<kl_memory_estimate>();
    if (const kl_status status = kl_model_estimate(get(), &source, &o, &estimate); status != KL_OK) return Error::last(status);
    return estimate;
  }
  kl_device_info device() const {
    auto info = detail::sized<kl_device_info>();
    (void)kl_engine_device(get(), &info);
    return info;
  }
  kl_engine_stats stats() const {
    auto stats = detail::sized<kl_engine_stats>();
    (void)kl_engine_get_stats(get(), &stats);
    return stats;
  }
  // What is remembered of pictures.
  kl_feature_cache_stats feature_cache() const {
    auto stats = detail::sized<kl_feature_cache_stats>();
    (void)kl_engine_get_feature_cache_stats(get(), &stats);
    return stats;
  }
  // Forgets every picture, on disk too; what is in use stays with its users.
  Expected<void> clear_feature_cache() const { return detail::done(kl_engine_clear_feature_cache(get())); }
  // The machine's roof with so many threads (0: all): takes about a second.
  Expected<kl_roofline> measure(int32_t threads = 0) const {
    auto roofline = detail::sized<kl_roofline>();
    if (const kl_status status = kl_engine_measure(get(), threads, &roofline); status != KL_OK) return Error::last(status);
    return roofline;
  }
  // The last steps, as JSON.
  Expected<std::string> trace() const {
    detail::Text text;
    if (const kl_status status = kl_engine_trace(get(), text.data(), text.length()); status != KL_OK) return Error::last(status);
    return text.str();
  }
  Expected<void> suspend() const { return detail::done(kl_engine_suspend(get())); }
  Expected<void> resume() const { return detail::done(kl_engine_resume(get())); }

 private:
  static kl_model_options c(const ModelOptions& options) {
    auto o = detail::sized<kl_model_options>();
    o.context = options.context;
    o.kv = static_cast<int32_t>(options.kv);
    o.activations = static_cast<int32_t>(options.activations);
    o.no_mmap = options.mmap ? 0 : 1;
    o.vocabulary_only = options.vocabulary_only ? 1 : 0;
    o.no_pack_cache = options.pack_cache ? 0 : 1;
    o.max_sequences = options.max_sequences;
    o.max_rows = options.max_rows;
    o.max_logit_rows = options.max_logit_rows;
    o.kv_tokens = options.kv_tokens;
    o.memory_budget = options.memory_budget;
    if (!options.cache_dir.empty()) o.cache_dir = options.cache_dir.c_str();
    if (!options.projector.empty()) o.projector = options.projector.c_str();
    if (options.progress) {
      o.progress = [](void* user, double fraction) -> int32_t {
        return (*static_cast<const std::function<bool(double)>*>(user))(fraction) ? 0 : 1;
      };
      o.progress_user = const_cast<std::function<bool(double)>*>(&options.progress);
    }
    return o;
  }
  detail::Handle<kl_engine, kl_engine_destroy> handle_;
};

}  // namespace kinglet

#endif
