#include "conversation.h"

#include <chrono>

#include "../common/app.h"

Conversation::Conversation(Options options)
    : options_(std::move(options)), loading_(std::async(std::launch::async, [this] { return load(); })) {}

Conversation::~Conversation() {
  leaving_ = true;
  if (loading_.valid()) loading_.wait();
}

kinglet::Expected<std::unique_ptr<Conversation::Loaded>> Conversation::load() {
  auto engine = kinglet::Engine::open(options_.engine);
  if (!engine) return engine.error();
  kinglet::ModelOptions model_options = {.projector = options_.projector};
  model_options.progress = [this](double fraction) {
    progress_ = static_cast<float>(fraction);
    return !leaving_;
  };
  auto model = engine->load(options_.model, model_options);
  if (!model) return model.error();
  auto session = model->session();
  if (!session) return session.error();
  return std::make_unique<Loaded>(Loaded{std::move(*engine), std::move(*model), std::move(*session)});
}

void Conversation::show(const std::string& file) {
  stop();
  file_ = file;
  error_.clear();
}

bool Conversation::ask(const std::string& question) {
  if (!question_.empty() || question.empty()) return false;
  question_ = question;
  return true;
}

void Conversation::stop() {
  question_.clear();
  if (generation_) generation_.cancel();
}

bool Conversation::busy() const {
  if (loading() || generation_ || !file_.empty() || !question_.empty()) return true;
  const auto info = picture();
  return info && info->state < KL_IMAGE_READY;
}

std::optional<kl_image_info> Conversation::picture() const {
  if (!image_) return std::nullopt;
  return image_->info();
}

bool Conversation::poll() {
  using namespace std::chrono_literals;
  if (loading_.valid()) {
    if (loading_.wait_for(0s) != std::future_status::ready) return true;
    if (auto loaded = loading_.get()) {
      loaded_ = std::move(*loaded);
      knows_ = app::what_it_knows(loaded_->model);
    } else {
      error_ = loaded.error().message;
    }
  }
  if (loaded_ == nullptr) return false;
  const bool was_busy = busy();
  if (!generation_ && !file_.empty()) open_picture();
  if (!generation_ && !question_.empty()) start_answer();
  kinglet::Piece piece;
  kinglet::Progress prompt;
  for (auto came = kinglet::Came::progress; generation_ && came != kinglet::Came::nothing;) {
    came = generation_.poll(piece, prompt, 0);
    if (came == kinglet::Came::piece) turns_.back().answer += piece.text;
    if (came == kinglet::Came::end) finish(generation_.ending());
  }
  return was_busy;
}

void Conversation::open_picture() {
  auto image = loaded_->model.image(std::exchange(file_, {}));
  turns_.clear();
  image_sent_ = false;
  stats_ = {};
  image_.reset();
  if (const auto reset = loaded_->session.reset(); !reset) error_ = reset.error().message;
  if (image) {
    image_ = std::move(*image);
  } else {
    error_ = image.error().message;
  }
}

void Conversation::start_answer() {
  error_.clear();
  kinglet::SendOptions send = {.max_tokens = options_.max_tokens};
  if (image_ && !image_sent_) send.images.push_back(&*image_);
  turns_.push_back({std::exchange(question_, {}), {}});
  generation_ = loaded_->session.send(turns_.back().question, send);
  if (!generation_) finish(generation_.ending());
}

void Conversation::finish(const kinglet::Ending& ending) {
  if (generation_) stats_ = generation_.stats();
  if (ending.how == kinglet::End::failed) error_ = ending.error.message;
  // Without a token, the question was taken back, and the picture with it.
  image_sent_ = image_sent_ || stats_.generated_tokens > 0;
  if (stats_.generated_tokens == 0 && ending.how == kinglet::End::failed) turns_.pop_back();
  generation_ = kinglet::Generation();
}
