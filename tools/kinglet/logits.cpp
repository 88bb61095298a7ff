// kinglet logits: the logits after every given token as a NumPy file, however the tokens are cut into steps and whoever else is in the batch.
#include <algorithm>
#include <random>

#include "common.h"
#include "npy.h"

namespace tool {
namespace {

constexpr size_t kMostRows = 512;     // of one call: bounds the memory for logits, and is the largest step anyway
constexpr uint32_t kBlockSlack = 64;  // tokens a sequence may take more than its length: a cache hands out whole blocks

struct Logits {
  Common common;
  std::string ids;
  std::string ids_file;
  std::string out;
  size_t chunk = 0;  // 0: all at once
  bool step = false;
  uint32_t mates = 0;
  uint64_t mates_seed = 0;
};

// Other sequences of random tokens that join, wait and leave at random, to prove that they change nothing.
class Mates {
 public:
  Mates(kl_model* model, const kl_model_info& info, uint32_t count, uint64_t seed)
      : model_(model), info_(info), random_(seed), slots_(count) {}

  // Adds what the mates do in the next batch.
  void join(std::vector<kl_evaluation>& items) {
    for (Slot& slot : slots_) {
      if (slot.sequence == nullptr) {
        if (below(2) == 0) continue;
        check(kl_sequence_new(model_, slot.sequence.out()));
        slot.length = 0;
      } else if (below(8) == 0) {
        slot.sequence = Sequence();
        continue;
      } else if (below(4) == 0) {
        continue;
      }
      const uint32_t room = info_.context - slot.length;
      if (room == 0) {
        slot.sequence = Sequence();
        continue;
      }
      slot.ids.resize(1 + below(std::min(room, below(2) == 0 ? 1U : 24U)));
      for (int32_t& id : slot.ids) id = static_cast<int32_t>(below(info_.vocabulary));
      slot.length += static_cast<uint32_t>(slot.ids.size());
      slot.logits.resize(info_.vocabulary);
      auto item = sized<kl_evaluation>();
      item.sequence = slot.sequence;
      item.ids = slot.ids.data();
      item.count = slot.ids.size();
      item.logit_rows = below(2);
      item.logits = item.logit_rows == 0 ? nullptr : slot.logits.data();
      items.push_back(item);
    }
    for (size_t i = items.size(); i > 1; --i) std::swap(items[i - 1], items[below(static_cast<uint32_t>(i))]);
  }

 private:
  struct Slot {
    Sequence sequence;
    uint32_t length = 0;
    std::vector<int32_t> ids;
    std::vector<float> logits;
  };

  uint32_t below(uint32_t bound) { return static_cast<uint32_t>(random_() % bound); }

  kl_model* model_;
  kl_model_info info_;
  std::mt19937_64 random_;
  std::vector<Slot> slots_;
};

void run(const Logits& options) {
  options.common.need_model();
  if (options.ids.empty() == options.ids_file.empty()) fail_usage("expected one of --ids and --ids-file");
  if (options.step && options.chunk != 0) fail_usage("expected one of --step and --chunk, both were given");
  const std::vector<int32_t> ids =
      options.ids_file.empty() ? parse_ids(options.ids, "--ids") : parse_ids(read_file(options.ids_file), "--ids-file");
  const size_t chunk = options.step ? 1 : std::min({options.chunk == 0 ? ids.size() : options.chunk, ids.size(), kMostRows});

  const Engine engine = open_engine(options.common, options.common.threads_or_default());
  kl_model_options load = model_options(options.common, options.common.kv_or_default());
  if (load.context == 0) load.context = static_cast<uint32_t>(std::min<size_t>(std::max<size_t>(ids.size(), 64), UINT32_MAX));
  load.max_sequences = std::max(32U, options.mates + 1);
  load.max_logit_rows = static_cast<uint32_t>(chunk) + options.mates;
  load.kv_tokens = static_cast<uint64_t>(load.context + kBlockSlack) * (options.mates + 1);
  const Model model = load_model(options.common, engine, load);
  auto info = sized<kl_model_info>();
  check(kl_model_get_info(model, &info));

  NpyWriter file(options.out, ids.size(), info.vocabulary);
  std::vector<float> rows(chunk * info.vocabulary);
  Mates mates(model, info, options.mates, options.mates_seed);
  std::vector<kl_evaluation> items;
  for (uint32_t warm = 0; warm < 4 && options.mates > 0; ++warm) {  // some are there before it starts
    items.clear();
    mates.join(items);
    if (!items.empty()) check(kl_evaluate(model, items.data(), items.size(), nullptr));
  }
  Sequence sequence;
  check(kl_sequence_new(model, sequence.out()));
  Progress progress(options.common, "evaluating");
  for (size_t done = 0; done < ids.size();) {
    const size_t count = std::min(chunk, ids.size() - done);
    auto item = sized<kl_evaluation>();
    item.sequence = sequence;
    item.ids = ids.data() + done;
    item.count = count;
    item.logits = rows.data();
    item.logit_rows = count;
    items.assign(1, item);
    mates.join(items);
    check(kl_evaluate(model, items.data(), items.size(), nullptr));
    file.append(std::span(rows).first(count * info.vocabulary));
    done += count;
    progress.show(static_cast<double>(done) / static_cast<double>(ids.size()));
  }
  file.finish();
  if (options.common.json)
    print_json({{"out", options.out}, {"shape", {ids.size(), info.vocabulary}}, {"kv", info.kv}, {"activations", info.activations}});
}

}  // namespace

void add_logits(CLI::App& app) {
  auto options = std::make_shared<Logits>();
  CLI::App* command = app.add_subcommand("logits", "logits after every given token, as a NumPy file");
  options->common.add_to(*command);
  command->add_option("--ids", options->ids, "\"1 2 3\"");
  command->add_option("--ids-file", options->ids_file, "a file of them");
  command->add_option("--out", options->out, "float32 .npy, shape [tokens, vocabulary]")->required();
  command->add_option("--chunk", options->chunk, "tokens of one prefill step (default: all)")->check(CLI::Range(1U, 1U << 24U));
  command->add_flag("--step", options->step, "one token at a time");
  command->add_option("--mates", options->mates, "other random sequences in the same batches")->check(CLI::Range(0U, 255U));
  command->add_option("--mates-seed", options->mates_seed, "of their random numbers");
  command->callback([options] { run(*options); });
}

}  // namespace tool
