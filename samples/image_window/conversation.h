// The part of the window that talks to Kinglet. Nothing here waits: loading runs on a thread of its own, pictures and answers are the engine's work, and poll() looks
// once per frame at what has come.
#pragma once
#include <atomic>
#include <future>
#include <kinglet/kinglet.hpp>
#include <memory>
#include <optional>
#include <string>
#include <vector>

struct Turn {
  std::string question;
  std::string answer;
};

class Conversation {
 public:
  struct Options {
    std::string model;
    std::string projector;
    kinglet::EngineOptions engine;
    uint32_t max_tokens = 0;
  };

  explicit Conversation(Options options);  // begins to load
  ~Conversation();
  Conversation(const Conversation&) = delete;
  Conversation& operator=(const Conversation&) = delete;

  // A new picture begins a new conversation; it is decoded and encoded from now on.
  void show(const std::string& file);
  // Asked as soon as the model is loaded and the last answer has ended; false when a question is waiting already.
  bool ask(const std::string& question);
  void stop();

  // Takes what has come since the last call. True when there was anything to redraw for.
  bool poll();

  bool loading() const { return loaded_ == nullptr && error_.empty(); }
  float load_progress() const { return progress_; }
  bool answering() const { return static_cast<bool>(generation_); }
  bool busy() const;  // something is under way that will change what is shown
  std::optional<kl_image_info> picture() const;
  const std::vector<Turn>& turns() const { return turns_; }
  const std::string& error() const { return error_; }
  const std::string& knows() const { return knows_; }  // what the model says of itself
  const kl_generation_stats& stats() const { return stats_; }

 private:
  struct Loaded {
    kinglet::Engine engine;
    kinglet::Model model;
    kinglet::Session session;
  };
  kinglet::Expected<std::unique_ptr<Loaded>> load();
  void open_picture();
  void start_answer();
  void finish(const kinglet::Ending& ending);

  Options options_;
  std::atomic<float> progress_ = 0;
  std::atomic<bool> leaving_ = false;
  std::future<kinglet::Expected<std::unique_ptr<Loaded>>> loading_;
  std::unique_ptr<Loaded> loaded_;
  std::string file_;      // the picture to open when the model is there
  std::string question_;  // waiting
  std::optional<kinglet::Image> image_;
  bool image_sent_ = false;  // the picture is part of the conversation
  kinglet::Generation generation_;
  std::vector<Turn> turns_;
  std::string error_;
  std::string knows_;
  kl_generation_stats stats_ = {};
};
