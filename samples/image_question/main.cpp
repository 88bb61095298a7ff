// image_question: asks a vision-language model about pictures in a terminal. It uses the public C++ header only; read it to see what an app does.
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <filesystem>
#include <iostream>
#include <kinglet/kinglet.hpp>
#include <map>

#include "../common/app.h"
#include "../common/terminal.h"

namespace {

struct Options {
  std::string model;
  std::string projector;
  std::vector<std::string> words;  // pictures, and behind them perhaps a question
  kinglet::EngineOptions engine;
  kinglet::SessionOptions session;
  kinglet::ImageOptions image;
  uint32_t context = 0;
  uint32_t max_tokens = 0;
  bool forget = false;
  bool once = false;
  bool quiet = false;
};

constexpr const char* kHelp =
    "Type a question and press Enter; Ctrl-C stops an answer.\n"
    "  /image FILE  add a picture to the next question (JPEG, PNG, WebP, BMP); it is looked at while you type\n"
    "  /stats       timings of the last answer, and what is remembered of pictures\n"
    "  /reset       forget the conversation and its pictures\n"
    "  /help        this\n"
    "  /exit        leave (or Ctrl-D)\n";

int report(const kinglet::Error& error) {
  std::fprintf(stderr, "image_question: error: %s\n", error.message.c_str());
  return 1;
}

struct Picture {
  std::string file;
  kinglet::Image image;
};

class Conversation {
 public:
  Conversation(const Options& options, const kinglet::Engine& engine, const kinglet::Model& model, kinglet::Session session)
      : options_(options), engine_(engine), model_(model), session_(std::move(session)) {}

  // The next question is about this picture too. Work on it begins at once, in the background.
  bool attach(const std::string& file) {
    auto image = model_.image(file, options_.image);
    if (!image) {
      report(image.error());
      return false;
    }
    attached_.push_back({file, std::move(*image)});
    return true;
  }

  // Streams the answer to standard output. False when it failed or was stopped.
  bool ask(const std::string& question) {
    kinglet::SendOptions send = {.max_tokens = options_.max_tokens};
    for (const Picture& picture : attached_) send.images.push_back(&picture.image);
    kinglet::Generation answer = session_.send(question, send);
    terminal::interrupted();
    stream(answer);
    const kinglet::Ending ending = answer.ending();
    if (ending.how == kinglet::End::failed) {
      failed(ending.error);
      return false;
    }
    if (ending.how == kinglet::End::stopped) std::fputs("(stopped)\n", stderr);
    const kl_generation_stats stats = answer.stats();
    if (stats.generated_tokens == 0) return false;  // the question was taken back, and its pictures are kept for the next
    last_ = stats;
    seen_ = std::exchange(attached_, {});
    if (!options_.quiet && !seen_.empty()) timings(stderr);
    if (ending.reason == KL_FINISH_CONTEXT_FULL) std::fputs(kFull, stderr);
    return ending.how == kinglet::End::finished;
  }

  // False: the person wants to leave.
  bool command(const std::string& line) {
    if (line == "/exit" || line == "/quit") return false;
    if (line == "/help") {
      std::cout << kHelp;
    } else if (line == "/stats") {
      stats();
    } else if (line == "/reset") {
      attached_.clear();
      if (const auto done = session_.reset(); !done) report(done.error());
    } else if (line.starts_with("/image ")) {
      attach(unquoted(line.substr(line.find_first_not_of(' ', 6))));
    } else {
      std::cout << "No such command; /help lists them.\n";
    }
    return true;
  }

 private:
  static constexpr const char* kFull = "(the context is full: /reset makes room, or start with a larger --ctx)\n";

  void stream(kinglet::Generation& answer) {
    constexpr int32_t kMoment = 50;  // milliseconds between two looks at Ctrl-C and at the pictures
    terminal::ProgressBar looking("looking");
    terminal::ProgressBar reading("reading");
    kinglet::Piece piece;
    kinglet::Progress prompt;
    bool begun = false;
    for (auto came = kinglet::Came::nothing; came != kinglet::Came::end;) {
      came = answer.poll(piece, prompt, kMoment);
      if (came == kinglet::Came::nothing) looking.show(encoded());
      if (came == kinglet::Came::progress) {
        looking.clear();
        reading.show(static_cast<double>(prompt.done) / prompt.total);
      }
      if (came == kinglet::Came::piece && !piece.text.empty()) {
        looking.clear();
        reading.clear();
        // A template may leave the space before an answer to the model.
        const size_t first = begun ? 0 : std::min(piece.text.find_first_not_of(' '), piece.text.size());
        begun = begun || first < piece.text.size();
        std::cout << piece.text.substr(first) << std::flush;
      }
      if (terminal::interrupted() || !std::cout) answer.cancel();
    }
    looking.clear();
    reading.clear();
    if (begun) std::cout << std::endl;
  }

  // Of the pictures of this question, the part that has been encoded.
  double encoded() const {
    double sum = 0;
    for (const Picture& picture : attached_) {
      const kl_image_info info = picture.image.info();
      sum += info.state == KL_IMAGE_READY ? 1.0 : static_cast<double>(info.progress);
    }
    return attached_.empty() ? 1.0 : sum / static_cast<double>(attached_.size());
  }

  // The message was taken back; pictures that can be used stay for the next question.
  void failed(const kinglet::Error& error) {
    report(error);
    if (error.code == KL_CONTEXT_FULL) std::fputs(kFull, stderr);
    std::erase_if(attached_, [](const Picture& picture) { return picture.image.info().state >= KL_IMAGE_FAILED; });
  }

  void timings(std::FILE* to) const {
    for (const Picture& picture : seen_) std::fprintf(to, "%s: %s\n", picture.file.c_str(), app::timings(picture.image.info()).c_str());
    std::fprintf(to, "first token after %.3f s, %u prompt tokens (%u remembered), %u generated at %.1f/s\n", last_.ttft_s,
                 last_.prompt_tokens, last_.cached_tokens, last_.generated_tokens, last_.decode_tokens_per_s);
  }

  void stats() const {
    if (last_.generated_tokens == 0) {
      std::cout << "Nothing was answered yet.\n";
      return;
    }
    timings(stdout);
    const kl_feature_cache_stats cache = engine_.feature_cache();
    const auto megabytes = [](uint64_t bytes) { return static_cast<double>(bytes) / 1e6; };
    const uint64_t hits = cache.device_hits + cache.host_hits + cache.disk_hits;
    std::printf(
        "remembered pictures: %.1f of %.0f MB on the device, %.1f of %.0f in memory, %.1f of %.0f on disk; found again %llu times, not "
        "found %llu\n",
        megabytes(cache.device_bytes), megabytes(cache.device_budget), megabytes(cache.host_bytes), megabytes(cache.host_budget),
        megabytes(cache.disk_bytes), megabytes(cache.disk_budget), static_cast<unsigned long long>(hits),
        static_cast<unsigned long long>(cache.misses));
  }

  // Terminals put quotes around a file name that is dropped on them.
  static std::string unquoted(std::string name) {
    while (!name.empty() && name.back() == ' ') name.pop_back();
    if (name.size() >= 2 && (name.front() == '\'' || name.front() == '"') && name.back() == name.front())
      name = name.substr(1, name.size() - 2);
    return name;
  }

  const Options& options_;
  const kinglet::Engine& engine_;
  const kinglet::Model& model_;
  kinglet::Session session_;
  std::vector<Picture> attached_;  // to the next question
  std::vector<Picture> seen_;      // by the last answer
  kl_generation_stats last_ = {};
};

// The last word is the question unless it names a file.
std::string take_question(std::vector<std::string>& words) {
  if (words.size() < 2 || std::filesystem::exists(words.back())) return {};
  std::string question = std::move(words.back());
  words.pop_back();
  return question;
}

int run(Options options) {
  const std::string question = take_question(options.words);
  auto engine = kinglet::Engine::open(options.engine);
  if (!engine) return report(engine.error());

  terminal::ProgressBar bar("loading");
  kinglet::ModelOptions model_options = {.context = options.context, .projector = options.projector};
  model_options.progress = [&](double fraction) {
    bar.show(fraction);
    return !terminal::interrupted();
  };
  auto model = engine->load(options.model, model_options);
  bar.clear();
  if (!model) return report(model.error());
  auto session = model->session(options.session);
  if (!session) return report(session.error());

  if (const std::string knows = app::what_it_knows(*model); !knows.empty() && !options.quiet) std::fprintf(stderr, "%s\n", knows.c_str());
  Conversation conversation(options, *engine, *model, std::move(*session));
  for (const std::string& file : options.words) {
    if (!conversation.attach(file)) return 1;
  }
  const bool person = isatty(STDIN_FILENO) == 1;
  if (!question.empty()) {
    const bool answered = conversation.ask(question);
    if (options.once || !person) return answered ? 0 : 1;
  } else if (person) {
    std::printf("%s, %zu pictures. /help lists commands.\n", model->info().name, options.words.size());
  }
  bool answered = true;
  while (auto line = terminal::read_line("> ")) {
    if (line->empty()) continue;
    if (line->front() != '/') {
      answered = conversation.ask(*line);
    } else if (!conversation.command(*line)) {
      break;
    }
    if (!std::cout) return 0;  // the reader of the pipe has gone
  }
  return answered || person ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  options.engine.cache_dir = app::cache_dir();
  options.engine.min_log_level = KL_LOG_WARNING;
  options.engine.log = [](void*, kl_log_level, const char* line) { std::fprintf(stderr, "image_question: %s\n", line); };
  const std::map<std::string, kinglet::Backend> backends = {{"auto", kinglet::Backend::automatic},
                                                            {"cpu", kinglet::Backend::cpu},
                                                            {"cuda", kinglet::Backend::cuda},
                                                            {"vulkan", kinglet::Backend::vulkan},
                                                            {"reference", kinglet::Backend::reference}};

  CLI::App app("Asks a vision-language model about pictures.", "image_question");
  app.add_option("--model", options.model, "GGUF file of the text model")->required();
  app.add_option("--projector", options.projector, "its companion file with the vision encoder (mmproj)")->required();
  app.add_option("pictures", options.words,
                 "JPEG, PNG, WebP or BMP files, and behind them a question; without one, questions come from standard input");
  app.add_option("--system", options.session.system, "system prompt");
  app.add_option("--backend", options.engine.backend, "what computes")->transform(CLI::Transformer(backends));
  app.add_option("--device", options.engine.device, "which device of the backend, from 0");
  app.add_option("--threads", options.engine.threads, "CPU threads (default: one per core)");
  app.add_option("--ctx", options.context, "context in tokens");
  app.add_option("--max-tokens", options.max_tokens, "of one answer (default: until it ends)");
  app.add_option("--max-image-rows", options.image.max_rows, "visual tokens of a picture, at most (default: the model's own)");
  app.add_option("--temperature", options.session.sampling.temperature, "0 (default): always the likeliest token");
  app.add_option("--seed", options.session.sampling.seed, "of the random numbers");
  app.add_flag("--forget", options.forget, "write nothing about pictures to disk");
  app.add_flag("--once", options.once, "leave after the question of the command line");
  app.add_flag("--quiet", options.quiet, "nothing but answers and errors");
  CLI11_PARSE(app, argc, argv);
  options.engine.feature_disk_cache = !options.forget;
  if (options.quiet) options.engine.log = nullptr;

  terminal::set_up();
  return run(std::move(options));
}
