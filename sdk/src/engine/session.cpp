#include "engine/session.h"

#include <algorithm>

#include "vision/feature_key.h"

namespace kl {

Json make_message(std::string_view role, std::string_view content) {
  Json message{Json::Object()};
  message.set("role", Json(std::string(role)));
  message.set("content", Json(std::string(content)));
  return message;
}

namespace {

// What follows from a prompt.
Status set_prompt(Job& job, Content content, const Model& model) {
  if (content.empty()) return error(Code::invalid_argument, "the prompt has no token");
  if (content.size() > model.context) {
    return error(Code::context_full, "the prompt has %s tokens, the session's context %s", with_commas(content.size()).c_str(),
                 with_commas(model.context).c_str());
  }
  KL_TRY(check_blocks(content, job.cache->model->images, model.max_rows));
  // A text that begins with the first generated token has no space of the tokenizer's own in front.
  const Vocabulary& vocabulary = *model.vocabulary();
  const auto tokens = content.tokens();
  const bool text_start = std::all_of(tokens.begin(), tokens.end(), [&](int32_t id) { return vocabulary.is_special(id); });
  job.detokenizer.emplace(model.vocabulary(), Detokenizer::Options{.render_special = false, .text_start = text_start});
  job.prompt_tokens = static_cast<uint32_t>(content.size());
  job.content = std::move(content);
  job.generation->update_stats([&](GenerationStats& s) { s.prompt_tokens = job.prompt_tokens; });
  return {};
}

}  // namespace

// The right to change the session, for the time of a call; a generation that was started keeps it.
class Session::Claim {
 public:
  explicit Claim(Session& session) : session_(session) {
    const std::lock_guard lock(session_.mutex_);
    mine_ = !session_.busy_;
    session_.busy_ = true;
  }
  ~Claim() {
    if (!mine_) return;
    const std::lock_guard lock(session_.mutex_);
    session_.busy_ = false;
  }
  Claim(const Claim&) = delete;
  Claim& operator=(const Claim&) = delete;
  Status status() const { return mine_ ? Status() : error(Code::busy, "the session is in another call, or its generation has not ended"); }
  void hand_over() { mine_ = false; }
  void take_back() { mine_ = true; }

 private:
  Session& session_;
  bool mine_ = false;
};

Result<std::shared_ptr<Session>> Session::create(std::shared_ptr<Model> model, const SessionOptions& options) {
  KL_TRY(check(options.sampling));
  KL_ASSIGN(const auto slot, model->slot());
  std::shared_ptr<Session> session(new Session());
  session->options_ = options;
  if (options.template_text) {
    KL_ASSIGN(session->template_, ChatTemplate::parse(*options.template_text));
  }
  session->cache_ = model->engine().scheduler().new_cache(slot, true);
  session->model_ = std::move(model);
  session->messages_ = session->first_messages();
  const bool sees = session->model_->vision() != nullptr;
  if (sees) session->mark_ = new_mark();
  session->form_ = probe_template([&](const Json& messages, bool begin_answer) { return session->render(messages, begin_answer); },
                                  sees ? session->model_->vision()->spec.text.placeholder : "");
  ++session->model_->engine().sessions;
  return session;
}

Session::~Session() {
  if (model_) --model_->engine().sessions;
}

Json Session::first_messages() const {
  Json messages{Json::Array()};
  if (options_.system) messages.array().push_back(make_message("system", *options_.system));
  return messages;
}

Result<Rendered> Session::render(const Json& messages, bool begin_answer) const {
  Json variables = options_.variables;
  variables.set("messages", messages);
  variables.set("add_generation_prompt", Json(begin_answer));
  return model_->render(variables, template_ ? &*template_ : nullptr, std::nullopt);
}

// The messages as the template writes them, answer begun. Control tokens come from the template's own characters only (R15).
Result<ImagePrompt> Session::prompt(const Json& messages, size_t images) const {
  KL_ASSIGN(const Rendered rendered, render(messages_for(messages, form_, mark_), true));
  return cut_at_images(rendered, form_, images > 0 ? model_->vision()->spec.text.placeholder : "", mark_, images);
}

// A picture that this session or the engine's feature cache remembers.
Result<std::shared_ptr<Image>> Session::find_image(const std::string& key) const {
  const auto parsed = key_from_hex(key);
  if (!parsed) return error(Code::invalid_argument, "an image is named by the 64 digits of its key, not \"%s\"", key.c_str());
  for (const auto& image : images_) {
    const auto features = image->features();
    if (features && features->key == *parsed) return image;
  }
  const FeatureHit hit = model_->engine().feature_cache()->begin(*parsed).hit;
  if (!hit) return error(Code::not_found, "the feature cache has no image %s: open the picture again and send it anew", key.c_str());
  if (hit.features->width != model_->width) {
    return error(Code::invalid_argument, "image %s has rows of %u values, this model takes %u", key.c_str(), hit.features->width,
                 model_->width);
  }
  return Image::ready(model_, hit);
}

Result<Session::Images> Session::take_images(Json& messages, const Images& given) const {
  Images images;
  size_t taken = 0, parts = 0;
  KL_TRY(for_each_image(messages, [&](Json& part) -> Status {
    if (!model_->vision()) {
      return error(Code::unsupported, "a message has an image, but %s was loaded without a projector", model_->file().name().c_str());
    }
    const Json* const named = part.find("image");
    if (named) {
      if (!named->string()) return error(Code::invalid_argument, "\"image\" of an image part must be the key of a picture");
      KL_ASSIGN(auto found, find_image(*named->string()));
      images.push_back(std::move(found));
    } else {
      ++parts;
      if (taken < given.size() && given[taken]->model() != model_) {
        return error(Code::invalid_argument, "image %zu was opened for another model", taken);
      }
      if (taken < given.size()) images.push_back(given[taken++]);
    }
    Json plain{Json::Object()};
    plain.set("type", Json("image"));
    part = std::move(plain);
    return {};
  }));
  if (parts != given.size()) {
    return error(Code::invalid_argument, "%zu image parts in the messages and %zu images: their numbers must agree", parts, given.size());
  }
  return images;
}

Result<std::shared_ptr<Generation>> Session::send(const Json& messages, const GenerationOptions& options) {
  if (!messages.is_array() || messages.array().empty())
    return error(Code::invalid_argument, "a message object or a non-empty array of them was expected");
  for (const Json& message : messages.array()) {
    const Json* const role = message.is_object() ? message.find("role") : nullptr;
    if (!role || !role->string()) {
      return error(Code::invalid_argument, "every message must be a JSON object with a \"role\" string");
    }
  }
  Claim claim(*this);
  KL_TRY(claim.status());
  Json added = messages;
  KL_ASSIGN(const Images fresh, take_images(added, options.images));
  Json all = messages_;  // ours alone while claimed, as are images_
  all.array().insert(all.array().end(), added.array().begin(), added.array().end());
  Images images = images_;
  images.insert(images.end(), fresh.begin(), fresh.end());
  KL_ASSIGN(ImagePrompt cut, prompt(all, images.size()));
  const auto assembly = [model = model_, shared = std::make_shared<const ImagePrompt>(std::move(cut)), images](Job& job) -> Status {
    std::vector<std::shared_ptr<const Features>> features;
    features.reserve(images.size());
    for (const auto& image : images) features.push_back(image->features());
    const ImageText text = model->vision() ? model->vision()->spec.text : ImageText{};
    KL_ASSIGN(Content content,
              assemble(*shared, text, features, model->tokenizer(), model->vocabulary()->find(text.placeholder).value_or(0)));
    return set_prompt(job, std::move(content), *model);
  };
  const size_t before = messages_.array().size(), images_before = images_.size();
  Images sent = images;
  {
    const std::lock_guard lock(mutex_);
    std::swap(messages_, all);
    std::swap(images_, images);
    undo_ = before;
    undo_images_ = images_before;
    is_chat_ = true;
  }
  auto generation = start(options, claim, assembly, std::move(sent));
  if (!generation.ok()) {
    const std::lock_guard lock(mutex_);
    std::swap(messages_, all);
    std::swap(images_, images);
  }
  return generation;
}

Result<std::shared_ptr<Generation>> Session::generate_raw(std::vector<int32_t> tokens, const GenerationOptions& options) {
  const Vocabulary& vocabulary = *model_->vocabulary();
  for (size_t i = 0; i < tokens.size(); ++i) {
    if (!vocabulary.has(tokens[i])) {
      return error(Code::invalid_argument, "token %d at place %zu is not in the vocabulary of %zu", tokens[i], i, vocabulary.size());
    }
  }
  Claim claim(*this);
  KL_TRY(claim.status());
  {
    const std::lock_guard lock(mutex_);
    is_chat_ = false;
  }
  if (!options.images.empty()) return error(Code::invalid_argument, "images go with messages, not with a raw prompt");
  return start(options, claim,
               [&](Job& job) {
                 Content content;
                 content.push_tokens(tokens);
                 return set_prompt(job, std::move(content), *model_);
               },
               {});
}

// assemble: puts the prompt together; called now, or by the scheduler when the last image is ready.
Result<std::shared_ptr<Generation>> Session::start(const GenerationOptions& options, Claim& claim,
                                                   const std::function<Status(Job& job)>& assemble, Images images) {
  const SamplingOptions sampling = options.sampling.value_or(options_.sampling);
  KL_TRY(check(sampling));
  Engine& engine = model_->engine();
  auto job = std::make_unique<Job>();
  KL_ASSIGN(job->stops, StopTexts::create(options.stop));
  job->generation = std::make_shared<Generation>(options.event_queue, engine.scheduler().waker(), engine.delivery());
  job->owner = shared_from_this();
  job->cache = cache_.get();
  job->sampling = sampling;
  job->max_tokens = options.max_tokens;
  job->logprobs = options.logprobs;
  job->ignore_end = options.ignore_end;
  const bool all_there = std::all_of(images.begin(), images.end(), [](const auto& image) { return image->features() != nullptr; });
  if (all_there) {
    KL_TRY(assemble(*job));
  } else {
    job->images = std::move(images);
    job->assemble = assemble;
  }
  std::shared_ptr<Generation> generation = job->generation;
  {
    const std::lock_guard lock(mutex_);
    if (closed_) return error(Code::closed, "the session was destroyed");
    active_ = generation;
  }
  claim.hand_over();  // before the scheduler can end the job and with it the claim
  const Status submitted = engine.scheduler().submit(job);
  if (!submitted.ok()) {
    claim.take_back();
    const std::lock_guard lock(mutex_);
    active_.reset();
    return submitted;
  }
  return generation;
}

void Session::job_ended(const Job& job, EventKind how) {
  const std::lock_guard lock(mutex_);
  active_.reset();
  busy_ = false;
  if (!is_chat_) return;
  const auto undo = [&] {
    messages_.array().erase(messages_.array().begin() + static_cast<ptrdiff_t>(undo_), messages_.array().end());
    images_.erase(images_.begin() + static_cast<ptrdiff_t>(undo_images_), images_.end());
  };
  if (how == EventKind::failed || (how == EventKind::stopped && job.generated == 0)) return undo();
  try {
    messages_.array().push_back(make_message("assistant", job.answer));
  } catch (const std::bad_alloc&) {
    undo();
    throw;
  }
}

Status Session::reset() {
  Claim claim(*this);
  KL_TRY(claim.status());
  Json messages = first_messages();
  const std::lock_guard lock(mutex_);
  messages_ = std::move(messages);
  images_.clear();
  return {};
}

Result<std::shared_ptr<Session>> Session::fork() {
  Claim claim(*this);
  KL_TRY(claim.status());
  std::shared_ptr<Session> copy(new Session());
  copy->options_ = options_;
  copy->template_ = template_;
  copy->form_ = form_;
  copy->mark_ = mark_;
  copy->messages_ = messages_;
  copy->images_ = images_;
  KL_ASSIGN(copy->cache_, model_->engine().scheduler().fork_cache(cache_.get()));
  copy->model_ = model_;
  ++model_->engine().sessions;
  return copy;
}

Result<std::string> Session::history() const {
  const std::lock_guard lock(mutex_);
  if (busy_) return error(Code::busy, "the session's generation has not ended");
  if (images_.empty()) return to_text(messages_);
  Json named = messages_;
  size_t next = 0;
  KL_TRY(for_each_image(named, [&](Json& part) -> Status {
    if (next < images_.size()) part.set("image", Json(images_[next++]->info().key));
    return {};
  }));
  return to_text(named);
}

Status Session::restore(const std::string& messages_json) {
  KL_ASSIGN(Json messages, parse_json(messages_json, "messages"));
  if (!messages.is_array()) return error(Code::invalid_argument, "messages must be a JSON array");
  for (const Json& message : messages.array()) {
    if (!message.is_object()) return error(Code::invalid_argument, "every message must be a JSON object");
  }
  Claim claim(*this);
  KL_TRY(claim.status());
  KL_ASSIGN(Images images, take_images(messages, {}));
  const std::lock_guard lock(mutex_);
  messages_ = std::move(messages);
  images_ = std::move(images);
  return {};
}

Result<std::vector<int32_t>> Session::tokens() const {
  {
    const std::lock_guard lock(mutex_);
    if (busy_) return error(Code::busy, "the session's generation has not ended");
  }
  return model_->engine().scheduler().cache_tokens(cache_.get());
}

void Session::close() noexcept {
  std::shared_ptr<Generation> active;
  {
    const std::lock_guard lock(mutex_);
    closed_ = true;
    active = active_;
  }
  if (active) active->cancel();
}

}  // namespace kl
