// A model file with its tokenizer and chat template, and, unless only the vocabulary was asked for, its weights in place on an engine's device.
// Immutable after load, but for where it lies; thread-safe.
#pragma once
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "engine/engine.h"
#include "engine/json_text.h"
#include "text/chat_template.h"
#include "text/tokenizer.h"
#include "weights/gguf.h"

namespace kl {

struct ModelSource {
  std::string path;
  std::span<const std::byte> data;
  int fd = -1;
  enum class Kind : uint8_t { path, data, fd } kind = Kind::path;
};

struct ModelOptions {
  uint32_t context = 0;        // 0: what the model was trained for, at most 4,096
  std::optional<KvFormat> kv;  // empty: the device's choice
  std::optional<ActivationFormat> activations;
  bool use_mmap = true;
  bool vocabulary_only = false;
  bool pack_cache = true;
  uint32_t max_sequences = 32, max_rows = 512, max_logit_rows = 64;
  uint64_t kv_tokens = 0;
  uint64_t memory_budget = 0;
  std::string cache_dir;                 // empty: the engine's
  std::optional<ModelSource> projector;  // the vision encoder's file
};

class Model {
 public:
  static Result<std::shared_ptr<Model>> load(std::shared_ptr<Engine> engine, const ModelSource& source, const ModelOptions& options,
                                             const LoadProgress& progress);
  struct Estimate {
    MemoryEstimate model, encoder;  // encoder: zero without a projector
  };
  static Result<Estimate> estimate(const Engine& engine, const ModelSource& source, const ModelOptions& options);

  Engine& engine() const { return *engine_; }
  const std::shared_ptr<Engine>& engine_ptr() const { return engine_; }
  const Gguf& file() const { return *file_; }
  const std::shared_ptr<const Vocabulary>& vocabulary() const { return vocabulary_; }  // null without words
  const Tokenizer& tokenizer() const { return *tokenizer_; }
  const std::optional<std::string>& template_text() const { return template_text_; }
  // With a NUL at its end; valid as long as the model. Precondition: index < file().tensors().size().
  const char* tensor_name(uint64_t index) const { return tensor_names_[index].c_str(); }
  // Error unsupported: the file is a projector's alone, which looks at pictures and has no words.
  Status has_words() const;
  // The weights in place. Error unsupported: the model was opened for its vocabulary only, or has no words.
  Result<std::shared_ptr<ModelSlot>> slot() const;
  // The same for pictures, which need no words.
  Result<std::shared_ptr<ModelSlot>> eyes() const;
  // Null: no projector.
  std::shared_ptr<const VisionFacts> vision() const { return placement().vision; }
  // Facts of the weights in place; nothing with vocabulary_only.
  Placement placement() const { return slot_ ? slot_->placement() : Placement(); }
  // Runs `work` with the runner between two steps. Errors: those of work and Scheduler::on_thread, unsupported as slot().
  Status with_runner(const std::function<Status(ModelRunner&)>& work) const;

  // bos_token, eos_token and whatever `variables` has, rendered; `own` overrides the model's template. Errors: see kl_render.
  Result<Rendered> render(const Json& variables, const ChatTemplate* own, const std::optional<std::string>& now) const;

  std::string architecture, name;
  uint32_t trained_context = 0, layers = 0, width = 0;
  uint64_t parameters = 0;
  uint32_t context = 0, max_rows = 0;  // in effect; zero with vocabulary_only

 private:
  Status read_words();  // vocabulary, tokenizer, template

  std::shared_ptr<Engine> engine_;
  std::shared_ptr<const Gguf> file_;
  std::shared_ptr<const Vocabulary> vocabulary_;
  std::shared_ptr<const Tokenizer> tokenizer_;
  std::vector<std::string> tensor_names_;
  std::optional<std::string> template_text_;
  std::optional<ChatTemplate> template_;
  Status template_status_;  // why template_ is empty
  SlotOwner<ModelSlot> slot_;
};

// A rendered template without a model.
Result<Rendered> render_template(const ChatTemplate& chat_template, const Json& variables, const std::optional<std::string>& now);

// Metadata as one JSON object; see kl_model_metadata.
std::string metadata_json(const Metadata& metadata, size_t max_array);

}  // namespace kl
