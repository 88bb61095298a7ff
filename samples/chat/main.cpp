// kinglet-chat: talks to a model in a terminal. It uses the public C++ header only; read it to see what an app does.
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <kinglet/kinglet.hpp>
#include <map>

#include "../common/app.h"
#include "../common/terminal.h"

namespace {

struct Options {
  std::string model;
  std::string prompt;
  bool once = false;  // --prompt was given
  bool no_mmap = false;
  kinglet::EngineOptions engine;
  kinglet::Kv kv = kinglet::Kv::automatic;
  uint32_t context = 0;
  uint32_t max_tokens = 0;
  kinglet::SessionOptions session;
};

constexpr const char* kHelp =
    "Type a message and press Enter; Ctrl-C stops an answer.\n"
    "  /help        this\n"
    "  /reset       forget the conversation (the system prompt stays)\n"
    "  /stats       speed of the last answer, and what the machine would allow\n"
    "  /save FILE   write the conversation as JSON\n"
    "  /exit        leave (or Ctrl-D)\n";

int report(const kinglet::Error& error) {
  std::fprintf(stderr, "kinglet-chat: error: %s\n", error.message.c_str());
  return 1;
}

class Chat {
 public:
  Chat(const kinglet::Engine& engine, kinglet::Session session, uint32_t max_tokens)
      : engine_(engine), session_(std::move(session)), max_tokens_(max_tokens) {}

  // Streams the answer to standard output. False when it failed or was stopped.
  bool answer(const std::string& message) {
    kinglet::Generation generation = session_.send(message, {.max_tokens = max_tokens_});
    terminal::ProgressBar bar("reading");
    terminal::interrupted();
    kinglet::Piece piece;
    kinglet::Progress prompt;
    for (auto came = kinglet::Came::nothing; came != kinglet::Came::end;) {
      came = generation.poll(piece, prompt, 50);  // milliseconds, to look for Ctrl-C
      if (came == kinglet::Came::progress) bar.show(static_cast<double>(prompt.done) / prompt.total);
      if (came == kinglet::Came::piece && !piece.text.empty()) {
        bar.clear();
        std::cout << piece.text << std::flush;
      }
      if (terminal::interrupted() || !std::cout) generation.cancel();
    }
    bar.clear();
    std::cout << std::endl;
    if (generation) last_ = generation.stats();
    return ended_well(generation.ending());
  }

  // False: the person wants to leave.
  bool command(const std::string& line) {
    if (line == "/exit" || line == "/quit") return false;
    if (line == "/help") {
      std::cout << kHelp;
    } else if (line == "/reset") {
      if (const auto done = session_.reset(); !done) report(done.error());
    } else if (line == "/stats") {
      stats();
    } else if (line.starts_with("/save ")) {
      save(line.substr(line.find_first_not_of(' ', 5)));
    } else {
      std::cout << "No such command; /help lists them.\n";
    }
    return true;
  }

 private:
  static bool ended_well(const kinglet::Ending& ending) {
    const char* hint = "(the context is full: /reset makes room, or start with a larger --ctx)\n";
    if (ending.how == kinglet::End::failed) {
      report(ending.error);
      if (ending.error.code == KL_CONTEXT_FULL) std::fputs(hint, stderr);
      return false;
    }
    if (ending.how == kinglet::End::stopped) std::fputs("(stopped)\n", stderr);
    if (ending.reason == KL_FINISH_CONTEXT_FULL) std::fputs(hint, stderr);
    return ending.how == kinglet::End::finished;
  }

  void stats() {
    if (last_.generated_tokens == 0) {
      std::cout << "Nothing was generated yet.\n";
      return;
    }
    std::printf("prompt      %u tokens, %u of them remembered; read at %.0f tokens/s\n", last_.prompt_tokens, last_.cached_tokens,
                last_.prefill_tokens_per_s);
    std::printf("first token after %.3f s\n", last_.ttft_s);
    std::printf("answer      %u tokens at %.1f tokens/s\n", last_.generated_tokens, last_.decode_tokens_per_s);
    if (last_.decode_s <= 0) return;
    const double gb_per_s = static_cast<double>(last_.decode_bytes) / last_.decode_s / 1e9;
    if (!roof_measured_) {
      roof_measured_ = true;
      if (auto roof = engine_.measure()) roof_gb_per_s_ = roof->read_gb_per_s;
    }
    std::printf("memory      %.1f GB/s read while answering", gb_per_s);
    if (roof_gb_per_s_ > 0) std::printf(": %.0f %% of the %.1f GB/s this machine reads", 100 * gb_per_s / roof_gb_per_s_, roof_gb_per_s_);
    std::printf("\n");
  }

  void save(const std::string& path) {
    const auto history = session_.history();
    if (!history) {
      report(history.error());
      return;
    }
    std::ofstream file(path, std::ios::binary);
    file << *history << "\n";
    file.close();
    if (file) {
      std::cout << "Saved to " << path << "\n";
    } else {
      std::cout << "Could not write " << path << "\n";
    }
  }

  const kinglet::Engine& engine_;
  kinglet::Session session_;
  uint32_t max_tokens_;
  kl_generation_stats last_ = {};
  bool roof_measured_ = false;
  double roof_gb_per_s_ = 0;
};

int run(const Options& options) {
  auto engine = kinglet::Engine::open(options.engine);
  if (!engine) return report(engine.error());

  terminal::ProgressBar bar("loading");
  kinglet::ModelOptions model_options = {.context = options.context, .kv = options.kv, .mmap = !options.no_mmap};
  model_options.progress = [&](double fraction) {
    bar.show(fraction);
    return !terminal::interrupted();
  };
  auto model = engine->load(options.model, model_options);
  bar.clear();
  if (!model) return report(model.error());
  auto session = model->session(options.session);
  if (!session) return report(session.error());

  Chat chat(*engine, std::move(*session), options.max_tokens);
  const kl_device_info device = engine->device();
  if (options.once) {
    std::fprintf(stderr, "on %s (%s), %s\n", device.name, device.tier, device.why);
    return chat.answer(options.prompt) ? 0 : 1;
  }

  const bool person = isatty(STDIN_FILENO) == 1;
  if (person) {
    std::printf("%s on %s (%s, %d threads), %s. /help lists commands.\n", model->info().name, device.name, device.tier, device.threads,
                device.why);
  }
  while (auto line = terminal::read_line("> ")) {
    if (line->empty()) continue;
    if (line->front() != '/') {
      chat.answer(*line);
    } else if (!chat.command(*line)) {
      break;
    }
    if (!std::cout) return 0;  // the reader of the pipe has gone
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  options.engine.cache_dir = app::cache_dir();
  options.session.system = "You are a helpful assistant.";
  options.engine.min_log_level = KL_LOG_WARNING;
  options.engine.log = [](void*, kl_log_level, const char* line) { std::fprintf(stderr, "kinglet-chat: %s\n", line); };
  const std::map<std::string, kinglet::Backend> backends = {{"auto", kinglet::Backend::automatic},
                                                            {"cpu", kinglet::Backend::cpu},
                                                            {"cuda", kinglet::Backend::cuda},
                                                            {"vulkan", kinglet::Backend::vulkan},
                                                            {"reference", kinglet::Backend::reference}};
  const std::map<std::string, kinglet::Kv> formats = {
      {"f32", kinglet::Kv::f32}, {"f16", kinglet::Kv::f16}, {"q8", kinglet::Kv::q8}, {"q4", kinglet::Kv::q4}};

  CLI::App app("Talks to a language model.", "kinglet-chat");
  app.add_option("--model", options.model, "GGUF file")->required();
  const CLI::Option* prompt = app.add_option("--prompt", options.prompt, "answer this once and exit");
  app.add_option("--system", options.session.system, "system prompt; empty: the template's own (default: You are a helpful assistant.)");
  app.add_option("--backend", options.engine.backend, "what computes")->transform(CLI::Transformer(backends));
  app.add_option("--device", options.engine.device, "which device of the backend, from 0");
  app.add_option("--threads", options.engine.threads, "CPU threads (default: one per core)");
  app.add_option("--ctx", options.context, "context in tokens");
  app.add_option("--kv", options.kv, "cache format")->transform(CLI::Transformer(formats));
  app.add_option("--max-tokens", options.max_tokens, "of one answer (default: until it ends)");
  app.add_option("--temperature", options.session.sampling.temperature, "0 (default): always the likeliest token");
  app.add_option("--top-k", options.session.sampling.top_k, "0: off");
  app.add_option("--top-p", options.session.sampling.top_p, "0 or 1: off");
  app.add_option("--min-p", options.session.sampling.min_p, "0: off");
  app.add_option("--repeat-penalty", options.session.sampling.repeat_penalty, "0 or 1: off");
  app.add_option("--seed", options.session.sampling.seed, "of the random numbers");
  app.add_flag("--no-mmap", options.no_mmap, "read the file instead of mapping it");
  CLI11_PARSE(app, argc, argv);
  options.once = prompt->count() > 0;

  terminal::set_up();
  return run(options);
}
