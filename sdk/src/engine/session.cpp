#include "engine/session.h"

#include <algorithm>

namespace kl {

Json make_message(std::string_view role, std::string_view content) {
  Json message{Json::Object()};
  message.set("role", Json(std::string(role)));
  message.set("content", Json(std::string(content)));
  return message;
}

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

// The messages as the template writes them, answer begun, as tokens. Control tokens come from the template's own characters only (R15).
Result<std::vector<int32_t>> Session::prompt(const Json& messages) const {
  Json variables = options_.variables;
  variables.set("messages", messages);
  variables.set("add_generation_prompt", Json(true));
  KL_ASSIGN(const Rendered rendered, model_->render(variables, template_ ? &*template_ : nullptr, std::nullopt));
  std::vector<TextPiece> pieces;
  pieces.reserve(rendered.pieces.size());
  for (const Piece& piece : rendered.pieces) pieces.push_back({piece.text, piece.trusted});
  return model_->tokenizer().encode(pieces, {.add_special = true});
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
  Json all = messages_;  // ours alone while claimed
  all.array().insert(all.array().end(), messages.array().begin(), messages.array().end());
  KL_ASSIGN(std::vector<int32_t> tokens, prompt(all));
  const size_t before = messages_.array().size();
  {
    const std::lock_guard lock(mutex_);
    std::swap(messages_, all);
    undo_ = before;
    is_chat_ = true;
  }
  auto generation = start(std::move(tokens), options, claim);
  if (!generation.ok()) {
    const std::lock_guard lock(mutex_);
    std::swap(messages_, all);
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
  return start(std::move(tokens), options, claim);
}

Result<std::shared_ptr<Generation>> Session::start(std::vector<int32_t> tokens, const GenerationOptions& options, Claim& claim) {
  const SamplingOptions sampling = options.sampling.value_or(options_.sampling);
  KL_TRY(check(sampling));
  if (tokens.empty()) return error(Code::invalid_argument, "the prompt has no token");
  if (tokens.size() > model_->context) {
    return error(Code::context_full, "the prompt has %s tokens, the session's context %s", with_commas(tokens.size()).c_str(),
                 with_commas(model_->context).c_str());
  }
  Engine& engine = model_->engine();
  auto job = std::make_unique<Job>();
  KL_ASSIGN(job->stops, StopTexts::create(options.stop));
  job->generation = std::make_shared<Generation>(options.event_queue, engine.scheduler().waker(), engine.delivery());
  job->owner = shared_from_this();
  job->cache = cache_.get();
  // A text that begins with the first generated token has no space of the tokenizer's own in front.
  const Vocabulary& vocabulary = *model_->vocabulary();
  const bool text_start = std::all_of(tokens.begin(), tokens.end(), [&](int32_t id) { return vocabulary.is_special(id); });
  job->detokenizer.emplace(model_->vocabulary(), Detokenizer::Options{.render_special = false, .text_start = text_start});
  job->prompt_tokens = static_cast<uint32_t>(tokens.size());
  job->tokens = std::move(tokens);
  job->sampling = sampling;
  job->max_tokens = options.max_tokens;
  job->logprobs = options.logprobs;
  job->ignore_end = options.ignore_end;
  job->generation->update_stats([&](GenerationStats& s) { s.prompt_tokens = job->prompt_tokens; });
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
  const auto undo = [&] { messages_.array().erase(messages_.array().begin() + static_cast<ptrdiff_t>(undo_), messages_.array().end()); };
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
  return {};
}

Result<std::shared_ptr<Session>> Session::fork() {
  Claim claim(*this);
  KL_TRY(claim.status());
  std::shared_ptr<Session> copy(new Session());
  copy->options_ = options_;
  copy->template_ = template_;
  copy->messages_ = messages_;
  KL_ASSIGN(copy->cache_, model_->engine().scheduler().fork_cache(cache_.get()));
  copy->model_ = model_;
  ++model_->engine().sessions;
  return copy;
}

Result<std::string> Session::history() const {
  const std::lock_guard lock(mutex_);
  if (busy_) return error(Code::busy, "the session's generation has not ended");
  return to_text(messages_);
}

Status Session::restore(const std::string& messages_json) {
  KL_ASSIGN(Json messages, parse_json(messages_json, "messages"));
  if (!messages.is_array()) return error(Code::invalid_argument, "messages must be a JSON array");
  for (const Json& message : messages.array()) {
    if (!message.is_object()) return error(Code::invalid_argument, "every message must be a JSON object");
  }
  Claim claim(*this);
  KL_TRY(claim.status());
  const std::lock_guard lock(mutex_);
  messages_ = std::move(messages);
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
