// A conversation: messages on the app's side, a KV cache on the scheduler's.
//
//   idle -- send, generate_raw --> generating -- job_ended --> idle
//
// Every change of the messages happens in idle or on the way between the two; while generating, calls that need them return busy.
// What a failed turn, or one stopped before its first token, had added is taken back. A session that is let go while generating cancels, and lives until the
// scheduler has told it of the end.
#pragma once
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "engine/image_prompt.h"
#include "engine/model.h"

namespace kl {

struct SessionOptions {
  std::optional<std::string> system;
  SamplingOptions sampling;
  Json variables{Json::Object()};            // more template variables
  std::optional<std::string> template_text;  // instead of the model's
};

struct GenerationOptions {
  std::optional<SamplingOptions> sampling;  // empty: the session's
  uint32_t max_tokens = 0;
  uint32_t logprobs = 0;
  bool ignore_end = false;
  uint32_t event_queue = 64;
  std::vector<std::string> stop;
  std::vector<std::shared_ptr<Image>> images;  // of the new messages' image parts, in order
};

Json make_message(std::string_view role, std::string_view content);

// Thread-safe.
class Session : public JobOwner, public std::enable_shared_from_this<Session> {
 public:
  static Result<std::shared_ptr<Session>> create(std::shared_ptr<Model> model, const SessionOptions& options);
  ~Session() override;

  // messages: an array of objects. Errors: see kl_session_send.
  Result<std::shared_ptr<Generation>> send(const Json& messages, const GenerationOptions& options);
  Result<std::shared_ptr<Generation>> generate_raw(std::vector<int32_t> tokens, const GenerationOptions& options);

  Status reset();
  Result<std::shared_ptr<Session>> fork();
  Result<std::string> history() const;
  Status restore(const std::string& messages_json);
  Result<std::vector<int32_t>> tokens() const;
  // The handle is gone: stops the generation, if any.
  void close() noexcept;

  const Model& model() const { return *model_; }
  void job_ended(const Job& job, EventKind how) override;

 private:
  Session() = default;
  class Claim;
  using Images = std::vector<std::shared_ptr<Image>>;
  Result<Rendered> render(const Json& messages, bool begin_answer) const;
  Result<ImagePrompt> prompt(const Json& messages, size_t images) const;
  // The images of the messages' parts: named by key, or the next of `given`. What the parts say of them beyond their type is taken out.
  Result<Images> take_images(Json& messages, const Images& given) const;
  Result<std::shared_ptr<Image>> find_image(const std::string& key) const;
  Result<std::shared_ptr<Generation>> start(const GenerationOptions& options, Claim& claim, const std::function<Status(Job& job)>& assemble,
                                            Images images);
  Json first_messages() const;

  std::shared_ptr<Model> model_;
  SessionOptions options_;
  std::optional<ChatTemplate> template_;
  TemplateForm form_;
  std::string mark_;  // for images, where the template knows none

  mutable std::mutex mutex_;
  bool busy_ = false;  // generating, or a call is at work on the session
  bool closed_ = false;
  Json messages_{Json::Array()};
  Images images_;    // of the messages' image parts, in order
  size_t undo_ = 0;  // messages before the turn that is being generated
  size_t undo_images_ = 0;
  bool is_chat_ = false;  // that turn adds to the messages
  std::shared_ptr<Generation> active_;
  SlotOwner<CacheSlot> cache_;  // last: freed before the model it is in
};

}  // namespace kl
