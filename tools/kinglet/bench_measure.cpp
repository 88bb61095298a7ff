// What kinglet bench times: evaluation calls for the speeds, whole processes for the first token.
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "bench.h"

extern char** environ;

namespace tool {
namespace {

struct Work {
  double seconds = 0;
  uint64_t bytes = 0;
  uint64_t macs = 0;
};

// Sequences that all begin with the same tokens and then each get the same next ones; the logits of the last are computed, as for sampling.
class Batch {
 public:
  Batch(kl_model* model, const kl_model_info& info, uint32_t count, std::span<const int32_t> beginning)
      : model_(model), sequences_(count), items_(count, sized<kl_evaluation>()), logits_(static_cast<size_t>(count) * info.vocabulary) {
    check(kl_sequence_new(model, beginning_.out()));
    for (size_t i = 0; i < items_.size(); ++i) {
      items_[i].logits = logits_.data() + i * info.vocabulary;
      items_[i].logit_rows = 1;
    }
    if (beginning.empty()) return;
    auto item = sized<kl_evaluation>();
    item.sequence = beginning_;
    item.ids = beginning.data();
    item.count = beginning.size();
    check(kl_evaluate(model, &item, 1, nullptr));
  }

  // Back to the beginning; not by truncating, since a sliding window forgets.
  void restart() {
    for (size_t i = 0; i < sequences_.size(); ++i) {
      sequences_[i] = Sequence();
      check(kl_sequence_fork(beginning_, sequences_[i].out()));
      items_[i].sequence = sequences_[i];
    }
  }

  Work append(std::span<const int32_t> ids) {
    for (kl_evaluation& item : items_) {
      item.ids = ids.data();
      item.count = ids.size();
    }
    auto stats = sized<kl_evaluation_stats>();
    const double began = now();
    check(kl_evaluate(model_, items_.data(), items_.size(), &stats));
    return {now() - began, stats.bytes, stats.macs};
  }

 private:
  kl_model* model_;
  Sequence beginning_;
  std::vector<Sequence> sequences_;
  std::vector<kl_evaluation> items_;
  std::vector<float> logits_;
};

}  // namespace

void measure_speeds(const BenchOptions& options, kl_model* model, BenchResult& result) {
  auto info = sized<kl_model_info>();
  check(kl_model_get_info(model, &info));
  const std::vector<int32_t> ids = random_ids(info, options.context(), options.common.seed + 1);
  const std::span<const int32_t> tokens(ids);
  Batch batch(model, info, result.batch, tokens.first(result.depth));

  std::vector<double> prefill;
  std::vector<double> decode;
  std::vector<double> macs_per_s;
  std::vector<double> bytes_per_s;
  // The first round warms caches, clocks and recordings, and is not counted.
  for (uint32_t rep = 0; rep <= options.reps; ++rep) {
    if (result.prompt > 0) {
      batch.restart();
      const Work work = batch.append(tokens.subspan(result.depth, result.prompt));
      prefill.push_back(static_cast<double>(result.prompt) * result.batch / work.seconds);
      macs_per_s.push_back(static_cast<double>(work.macs) / work.seconds);
    }
    if (result.gen > 0) {
      batch.restart();
      batch.append(tokens.subspan(result.depth, 1));  // so that every timed step finds a cache of its own
      Work sum;
      for (uint32_t i = 1; i <= result.gen; ++i) {
        const Work work = batch.append(tokens.subspan(result.depth + i, 1));
        sum.seconds += work.seconds;
        sum.bytes += work.bytes;
      }
      decode.push_back(static_cast<double>(result.gen) * result.batch / sum.seconds);
      bytes_per_s.push_back(static_cast<double>(sum.bytes) / sum.seconds);
    }
    if (rep == 0) {
      prefill.clear();
      decode.clear();
      macs_per_s.clear();
      bytes_per_s.clear();
    }
  }
  if (result.prompt > 0) {
    result.prefill = spread_of(prefill);
    result.prefill_gmac_per_s = spread_of(macs_per_s).median / 1e9;
  }
  if (result.gen > 0) {
    result.decode = spread_of(decode);
    result.decode_gb_per_s = spread_of(bytes_per_s).median / 1e9;
  }
}

std::string output_of_this_program(std::vector<std::string> words) {
  words.insert(words.begin(), "kinglet");
  std::vector<char*> arguments;
  arguments.reserve(words.size() + 1);
  for (std::string& word : words) arguments.push_back(word.data());
  arguments.push_back(nullptr);

  int ends[2];
  if (pipe(ends) != 0) fail("expected a pipe to a process that measures: %s", std::strerror(errno));
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
  posix_spawn_file_actions_addclose(&actions, ends[0]);
  posix_spawn_file_actions_addclose(&actions, ends[1]);
  pid_t child = 0;
  const int error = posix_spawn(&child, "/proc/self/exe", &actions, nullptr, arguments.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  close(ends[1]);
  std::string answer;
  char block[256];
  for (ssize_t got = 0; error == 0 && (got = read(ends[0], block, sizeof block)) != 0;) {
    if (got > 0) answer.append(block, static_cast<size_t>(got));
    if (got < 0 && errno != EINTR) break;
  }
  close(ends[0]);
  int status = 0;
  if (error == 0) {
    while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
    }
  }
  if (error != 0 || !WIFEXITED(status) || WEXITSTATUS(status) != 0) fail("expected a process that measures to end well, it did not");
  return answer;
}

double measure_first_token(const Common& common, int32_t threads, const std::string& kv, uint32_t context, uint32_t prompt) {
  std::vector<std::string> words = {"first-token", "--quiet",
                                    "--model",     common.model,
                                    "--backend",   common.backend,
                                    "--device",    std::to_string(common.device),
                                    "--cache-dir", common.cache_dir,
                                    "--ctx",       std::to_string(context),
                                    "--prompt",    std::to_string(prompt)};
  if (threads != 0) words.insert(words.end(), {"--threads", std::to_string(threads)});
  if (!kv.empty()) words.insert(words.end(), {"--kv", kv});
  if (!common.activations.empty()) words.insert(words.end(), {"--activations", common.activations});
  if (common.no_mmap) words.emplace_back("--no-mmap");
  const double began = now();
  return std::strtod(output_of_this_program(words).c_str(), nullptr) - began;
}

// The hidden subcommand prints when it had its first token, on the clock that all processes share.
void add_first_token(CLI::App& app) {
  struct FirstToken {
    Common common;
    uint32_t prompt = 1;
  };
  auto options = std::make_shared<FirstToken>();
  CLI::App* command = app.add_subcommand("first-token", "")->group("");
  options->common.add_to(*command);
  command->add_option("--prompt", options->prompt)->check(CLI::Range(1U, 1U << 20U));
  command->callback([options] {
    const Engine engine = open_engine(options->common, options->common.threads_or_default());
    const Model model = load_model(options->common, engine, model_options(options->common, options->common.kv_or_default()));
    auto info = sized<kl_model_info>();
    check(kl_model_get_info(model, &info));
    const std::vector<int32_t> ids = random_ids(info, options->prompt, 1);
    Session session;
    check(kl_session_new(model, nullptr, session.out()));
    auto prompt = sized<kl_prompt>();
    prompt.ids = ids.data();
    prompt.id_count = ids.size();
    auto send = sized<kl_send_options>();
    send.max_tokens = 1;
    send.ignore_end = 1;
    Generation generation;
    check(kl_session_generate_raw(session, &prompt, &send, generation.out()));
    for (auto event = sized<kl_event>(); event.kind < KL_EVENT_TOKEN;) {
      check(kl_generation_next(generation, -1, &event));
      if (event.kind == KL_EVENT_FAILED) fail("%s", event.text);
    }
    print(text("%.9f\n", now()));
  });
}

}  // namespace tool
