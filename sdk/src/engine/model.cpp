#include "engine/model.h"

#include <algorithm>
#include <ctime>

#include "engine/vocabulary_from_gguf.h"
#include "sampling/stop_rules.h"

namespace kl {
namespace {

constexpr uint32_t kDefaultContext = 4096;

Result<std::shared_ptr<const Gguf>> open_file(const ModelSource& source, bool use_mmap) {
  const GgufOptions options{.use_mmap = use_mmap};
  switch (source.kind) {
    case ModelSource::Kind::path:
      return Gguf::open(source.path, options);
    case ModelSource::Kind::data:
      return Gguf::open_memory(source.data, options);
    case ModelSource::Kind::fd:
      break;
  }
  return Gguf::open_fd(source.fd, options);
}

Result<uint32_t> number(const Metadata& metadata, const std::string& key) {
  KL_ASSIGN(const auto value, metadata.find_uint(key, 0, UINT32_MAX));
  return static_cast<uint32_t>(value.value_or(0));
}

constexpr std::string_view kProjectorArchitecture = "clip";  // general.architecture of every projector's file, whatever its kind

Result<RunnerOptions> runner_options(const Gguf& file, const EngineOptions& engine, const ModelOptions& o, Device& device, uint64_t used) {
  RunnerOptions r;
  KL_ASSIGN(const auto architecture, file.metadata().find_string("general.architecture"));
  KL_ASSIGN(const uint32_t trained, number(file.metadata(), std::string(architecture.value_or("")) + ".context_length"));
  r.context = o.context != 0 ? o.context : trained == 0 ? kDefaultContext : std::min(trained, kDefaultContext);
  r.kv_tokens = o.kv_tokens;
  r.max_rows = o.max_rows;
  r.max_outputs = o.max_logit_rows;
  r.max_sequences = o.max_sequences;
  r.kv = o.kv.value_or(device.preferred_kv());
  r.activations = o.activations;
  r.memory_budget = o.memory_budget;
  if (engine.memory_budget != 0) {
    const uint64_t budget = engine.memory_budget, left = budget > used ? budget - used : 1;
    r.memory_budget = r.memory_budget == 0 ? left : std::min(left, r.memory_budget);
  }
  if (o.pack_cache) r.pack_cache_dir = o.cache_dir.empty() ? engine.cache_dir : o.cache_dir;
  return r;
}

EncoderOptions encoder_options(const RunnerOptions& r) {
  return {.activations = r.activations, .memory_budget = r.memory_budget, .pack_cache_dir = r.pack_cache_dir};
}

// [begin, end] of a longer progress.
LoadProgress part_of(const LoadProgress& whole, double begin, double end) {
  if (!whole) return {};
  return [&whole, begin, end](double fraction) { return whole(begin + fraction * (end - begin)); };
}

// Puts one model, with or without eyes, on whatever device it is given (LoadModel).
struct ModelLoader {
  std::shared_ptr<const Gguf> file, projector;  // null: none. A file without words is a projector itself
  bool has_words = true;
  size_t words = 0;    // of the tokenizer
  uint32_t width = 0;  // of the rows that the text model takes
  ModelOptions options;
  EngineOptions engine;
  EngineParts parts;

  Result<LoadedModel> operator()(Device& device, uint64_t used, const LoadProgress& report) const {
    KL_ASSIGN(RunnerOptions r, runner_options(*file, engine, options, device, used));
    LoadedModel loaded;
    if (!has_words) {
      KL_TRY(load_encoder(file, device, r, report, loaded));
      return loaded;
    }
    double begin = 0;  // of the text model's part of the progress
    if (projector) {
      const auto bytes = static_cast<double>(projector->file_bytes());
      begin = bytes / (bytes + static_cast<double>(file->file_bytes()));
      KL_TRY(load_encoder(projector, device, r, part_of(report, 0, begin), loaded));
      r.features = true;
    }
    auto runner = parts.load(file, device, r, part_of(report, begin, 1), engine.log);
    Placement& placed = loaded.placement;
    if (!runner.ok() && projector)
      return runner.status().at("beside the projector, which takes " + with_commas(placed.encoder_memory) + " bytes");
    KL_TRY(runner.status());
    loaded.runner = std::move(*runner);
    if (loaded.runner->spec().vocabulary < words) {
      return error(Code::corrupt, "%s has %zu tokens but logits of %u only", file->name().c_str(), words, loaded.runner->spec().vocabulary);
    }
    placed.memory += loaded.runner->memory().total();
    placed.limits = loaded.runner->options();
    if (!placed.limits.activations) placed.limits.activations = device.preferred_activations();
    return loaded;
  }

 private:
  // What it takes comes off the budget in `r`.
  Status load_encoder(const std::shared_ptr<const Gguf>& from, Device& device, RunnerOptions& r, const LoadProgress& progress,
                      LoadedModel& loaded) const {
    KL_ASSIGN(loaded.encoder, parts.load_encoder(from, device, encoder_options(r), progress, engine.log));
    const EncoderRunner& encoder = *loaded.encoder;
    const uint64_t bytes = encoder.memory().total();
    if (r.memory_budget != 0) r.memory_budget = r.memory_budget > bytes ? r.memory_budget - bytes : 1;
    if (has_words && encoder.spec().feature_width != width) {
      return error(Code::invalid_argument, "%s gives rows of %u values, %s takes rows of %u: they do not belong together",
                   from->name().c_str(), encoder.spec().feature_width, file->name().c_str(), width);
    }
    auto facts = std::make_shared<VisionFacts>();
    facts->spec = encoder.spec();
    facts->preprocess = encoder.preprocess();
    facts->identity = encoder.identity();
    facts->typical_rows = rows_for(640, 480, facts->preprocess).ok() ? *rows_for(640, 480, facts->preprocess) : 0;
    loaded.placement.memory = loaded.placement.encoder_memory = bytes;
    loaded.placement.vision = std::move(facts);
    return {};
  }
};

// Local time, as strftime_now shows it in Python.
jinja::CivilTime clock_time() {
  const std::time_t now = std::time(nullptr);
  std::tm parts{};
  if (!localtime_r(&now, &parts)) return {};
  return {parts.tm_year + 1900, parts.tm_mon + 1, parts.tm_mday, parts.tm_hour, parts.tm_min, parts.tm_sec};
}

std::string token_text(const Vocabulary& vocabulary, std::optional<TokenId> id) {
  return id ? std::string(vocabulary.text(*id)) : std::string();
}

}  // namespace

Result<std::shared_ptr<Model>> Model::load(std::shared_ptr<Engine> engine, const ModelSource& source, const ModelOptions& options,
                                           const LoadProgress& progress) {
  auto model = std::make_shared<Model>();
  model->engine_ = std::move(engine);
  KL_ASSIGN(model->file_, open_file(source, options.use_mmap));
  const Metadata& metadata = model->file_->metadata();

  KL_ASSIGN(const auto architecture, metadata.find_string("general.architecture"));
  model->architecture = architecture.value_or("");
  KL_ASSIGN(const auto title, metadata.find_string("general.name"));
  model->name = title.value_or("");
  KL_ASSIGN(model->trained_context, number(metadata, model->architecture + ".context_length"));
  KL_ASSIGN(model->layers, number(metadata, model->architecture + ".block_count"));
  KL_ASSIGN(model->width, number(metadata, model->architecture + ".embedding_length"));
  for (const TensorInfo& tensor : model->file_->tensors()) {
    model->parameters += tensor.dims[0] * tensor.dims[1] * tensor.dims[2] * tensor.dims[3];
    model->tensor_names_.emplace_back(is_utf8(tensor.name) ? tensor.name : std::string_view("?"));
  }

  if (model->architecture != kProjectorArchitecture) {
    KL_TRY(model->read_words());
  } else if (options.projector) {
    return error(Code::invalid_argument, "%s is a projector itself: expected none beside it", model->file_->name().c_str());
  }
  if (options.vocabulary_only) return model;
  std::shared_ptr<const Gguf> projector;
  if (options.projector) {
    KL_ASSIGN(projector, open_file(*options.projector, options.use_mmap));
  }

  const Engine& e = *model->engine_;
  ModelLoader loader{.file = model->file_,
                     .projector = std::move(projector),
                     .has_words = model->vocabulary_ != nullptr,
                     .words = model->vocabulary_ ? model->vocabulary_->size() : 0,
                     .width = model->width,
                     .options = options,
                     .engine = e.options(),
                     .parts = e.parts()};
  KL_ASSIGN(model->slot_, e.scheduler().load(std::move(loader), model->vocabulary_, progress));
  const Placement placed = model->placement();
  if (model->vocabulary_) {
    model->context = placed.limits.context;
    model->max_rows = placed.limits.max_rows;
  } else {
    model->width = placed.vision->spec.feature_width;
  }
  return model;
}

Status Model::read_words() {
  auto vocabulary = vocabulary_from_gguf(file_->metadata());
  if (!vocabulary.ok()) return vocabulary.status().at(file_->name());
  vocabulary_ = std::move(*vocabulary);
  auto tokenizer = Tokenizer::create(vocabulary_);
  if (!tokenizer.ok()) return tokenizer.status().at(file_->name());
  tokenizer_ = std::move(*tokenizer);

  KL_ASSIGN(const auto text, file_->metadata().find_string("tokenizer.chat_template"));
  template_status_ = error(Code::not_found, "%s has no chat template; a raw prompt or a template text works", file_->name().c_str());
  if (text) {
    template_text_ = *text;
    auto parsed = ChatTemplate::parse(*text);  // a template that is not understood does not keep a raw prompt from working
    template_status_ = parsed.status().at("the model's chat template");
    if (parsed.ok()) template_ = std::move(*parsed);
  }
  return {};
}

Result<Model::Estimate> Model::estimate(const Engine& engine, const ModelSource& source, const ModelOptions& options) {
  KL_ASSIGN(const auto file, open_file(source, options.use_mmap));
  std::shared_ptr<const Gguf> projector;
  if (options.projector) {
    KL_ASSIGN(projector, open_file(*options.projector, options.use_mmap));
  }
  Estimate estimate;
  KL_TRY(engine.scheduler().on_thread(Scheduler::Needs::nothing, [&](Device& device) -> Status {
    ModelOptions unlimited = options;
    unlimited.memory_budget = 0;
    KL_ASSIGN(RunnerOptions r, runner_options(*file, engine.options(), unlimited, device, 0));
    r.memory_budget = 0;
    r.features = projector != nullptr;
    KL_ASSIGN(const auto named_architecture, file->metadata().find_string("general.architecture"));
    if (named_architecture == kProjectorArchitecture) {
      KL_ASSIGN(estimate.encoder, engine.parts().estimate_encoder(*file, device, encoder_options(r)));
      return {};
    }
    KL_ASSIGN(estimate.model, engine.parts().estimate(*file, device, r));
    if (projector) {
      KL_ASSIGN(estimate.encoder, engine.parts().estimate_encoder(*projector, device, encoder_options(r)));
    }
    return {};
  }));
  return estimate;
}

Status Model::has_words() const {
  if (!vocabulary_) return error(Code::unsupported, "%s is a projector: it looks at pictures and has no words", file_->name().c_str());
  return {};
}

Result<std::shared_ptr<ModelSlot>> Model::slot() const {
  KL_TRY(has_words());
  return eyes();
}

Result<std::shared_ptr<ModelSlot>> Model::eyes() const {
  if (!slot_) return error(Code::unsupported, "%s was opened for its vocabulary only", file_->name().c_str());
  return slot_.get();
}

Status Model::with_runner(const std::function<Status(ModelRunner&)>& work) const {
  KL_ASSIGN(const auto held, slot());
  return engine_->scheduler().with_runner(held, work);
}

Result<Rendered> render_template(const ChatTemplate& chat_template, const Json& variables, const std::optional<std::string>& now) {
  RenderOptions options;
  if (now) {
    KL_ASSIGN(options.now, jinja::parse_time(*now));
  } else {
    options.now = clock_time();
  }
  KL_ASSIGN(const jinja::Value context, context_from_json(to_text(variables)));
  return chat_template.render(context, options);
}

Result<Rendered> Model::render(const Json& variables, const ChatTemplate* own, const std::optional<std::string>& now) const {
  KL_TRY(has_words());
  if (!variables.is_object()) return error(Code::invalid_argument, "template variables must be a JSON object");
  const ChatTemplate* const used = own ? own : template_ ? &*template_ : nullptr;
  if (!used) return template_status_;
  Json all{Json::Object()};
  all.set("bos_token", Json(token_text(*vocabulary_, vocabulary_->bos())));
  all.set("eos_token", Json(token_text(*vocabulary_, vocabulary_->eos())));
  for (const auto& [key, value] : variables.object()) all.set(key, value);
  return render_template(*used, all, now);
}

}  // namespace kl
