// kinglet logits: the logits after every given token as a NumPy file, however the tokens are cut into steps and whoever else is in the batch.
#include <algorithm>
#include <random>

#include "common.h"
#include "npy.h"
#include "pictures.h"

namespace tool {
namespace {

constexpr size_t kMostRows = 512;     // of one call: bounds the memory for logits, and is the largest step anyway
constexpr uint32_t kBlockSlack = 64;  // tokens a sequence may take more than its length: a cache hands out whole blocks

struct Logits {
  Common common;
  Pictures pictures;
  int32_t image_token = -1;
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

// Where the rows of the pictures stand, in order: at the ids that are the image token. A picture's rows are never cut, since a model may look at them in both
// directions; so a chunk that would end inside a picture goes on to the picture's end.
class Placed {
 public:
  Placed(const Logits& options, const std::vector<int32_t>& ids) : token_(options.image_token) {
    if (options.pictures.files.empty()) return;
    for (size_t i = 0; i < ids.size(); ++i) {
      if (ids[i] == token_) places_.push_back(i);
    }
  }

  // Before the pictures' sizes are known: no more tokens than `reach` come between a picture's first row and its last, no more than `run` of its rows are
  // neighbours.
  size_t reach() const { return places_.empty() ? 0 : places_.back() - places_.front() + 1; }
  size_t run() const {
    size_t longest = 0;
    for (size_t i = 0, begin = 0; i < places_.size(); ++i) {
      if (i > 0 && places_[i] != places_[i - 1] + 1) begin = i;
      longest = std::max(longest, i - begin + 1);
    }
    return longest;
  }

  void set(std::vector<Image> images) {
    images_ = std::move(images);
    size_t rows = 0;
    for (const Image& image : images_) {
      const uint32_t own = info_of(image).rows;
      rows += own;
      if (own > 0 && rows <= places_.size()) spans_.push_back({places_[rows - own], places_[rows - 1] + 1});
    }
    if (rows != places_.size()) {
      fail("expected as many ids that are the image token as the pictures have rows, %zu, got %zu of id %d", rows, places_.size(), token_);
    }
  }

  // The end of a chunk that was to end before `end`.
  size_t end_of_chunk(size_t end) const {
    for (const Span& span : spans_) {
      if (span.begin < end && end < span.end) return span.end;
    }
    return end;
  }

  // The pictures in ids [begin, end).
  std::vector<kl_image*> in(size_t begin, size_t end) const {
    std::vector<kl_image*> result;
    for (size_t i = 0; i < spans_.size(); ++i) {
      if (spans_[i].begin >= begin && spans_[i].end <= end) result.push_back(images_[i]);
    }
    return result;
  }

  int32_t token() const { return token_; }

 private:
  struct Span {
    size_t begin, end;
  };
  int32_t token_;
  std::vector<size_t> places_;
  std::vector<Image> images_;
  std::vector<Span> spans_;  // of each picture: first row, behind the last
};

void run(const Logits& options) {
  options.common.need_model();
  options.pictures.need_projector(options.common);
  if (!options.pictures.files.empty() && options.image_token < 0) fail_usage("expected --image-token ID beside --image, it was not given");
  if (options.ids.empty() == options.ids_file.empty()) fail_usage("expected one of --ids and --ids-file");
  if (options.step && options.chunk != 0) fail_usage("expected one of --step and --chunk, both were given");
  const std::vector<int32_t> ids =
      options.ids_file.empty() ? parse_ids(options.ids, "--ids") : parse_ids(read_file(options.ids_file), "--ids-file");
  Placed pictures(options, ids);
  const size_t chunk = options.step ? 1 : std::min({options.chunk == 0 ? ids.size() : options.chunk, ids.size(), kMostRows});

  const Engine engine = open_engine(options.common, options.common.threads_or_default());
  kl_model_options load = model_options(options.common, options.common.kv_or_default());
  if (load.context == 0) load.context = static_cast<uint32_t>(std::min<size_t>(std::max<size_t>(ids.size(), 64), UINT32_MAX));
  load.max_sequences = std::max(32U, options.mates + 1);
  const size_t most = std::min(chunk + pictures.reach(), ids.size());
  load.max_logit_rows = static_cast<uint32_t>(most) + options.mates;
  load.max_rows = static_cast<uint32_t>(std::max(kMostRows, pictures.run()));
  load.kv_tokens = static_cast<uint64_t>(load.context + kBlockSlack) * (options.mates + 1);
  const Model model = load_model(options.common, engine, load);
  auto info = sized<kl_model_info>();
  check(kl_model_get_info(model, &info));

  std::vector<Image> images = open_pictures(options.pictures, model);
  for (const Image& image : images) wait_for(options.common, image);
  pictures.set(std::move(images));

  NpyWriter file(options.out, ids.size(), info.vocabulary);
  std::vector<float> rows(most * info.vocabulary);
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
    const size_t count = pictures.end_of_chunk(std::min(done + chunk, ids.size())) - done;
    const std::vector<kl_image*> seen = pictures.in(done, done + count);
    auto item = sized<kl_evaluation>();
    item.sequence = sequence;
    item.ids = ids.data() + done;
    item.count = count;
    item.logits = rows.data();
    item.logit_rows = count;
    item.images = seen.data();
    item.image_count = static_cast<uint32_t>(seen.size());
    item.image_token = pictures.token();
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
  options->pictures.add_to(*command, options->common);
  command->add_option("--image-token", options->image_token, "id at whose positions the pictures' rows stand");
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
