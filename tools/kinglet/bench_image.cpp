// kinglet bench --projector: what a picture costs. The encoder beside the machine's arithmetic; the first token cold, from memory, from disk after a restart; the
// pace of somebody else's answer meanwhile.
#include <stdlib.h>  // mkdtemp

#include <algorithm>
#include <filesystem>
#include <random>

#include "bench.h"
#include "pictures.h"

namespace tool {
namespace {

constexpr double kWindow = 0.5;  // seconds that the other answer has been going on when the picture comes
constexpr int32_t kMomentMs = 1;

// A folder for what this run remembers, gone afterwards: the user's own cache is neither used nor filled.
class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::string pattern = (std::filesystem::temp_directory_path() / "kinglet-bench-XXXXXX").string();
    if (mkdtemp(pattern.data()) == nullptr) fail("expected to make a folder in %s", std::filesystem::temp_directory_path().c_str());
    path_ = pattern;
  }
  ~TemporaryFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

// As many distinct pictures as there are seeds. Bare pixels, so that no decoder is part of what is timed; they must outlive the image's decoding.
class Noise {
 public:
  Noise(const BenchOptions& options, uint64_t seed)
      : width_(options.image_width), height_(options.image_height), pixels_(size_t{3} * width_ * height_) {
    std::mt19937_64 random(seed);
    for (uint8_t& value : pixels_) value = static_cast<uint8_t>(random());
  }

  Image open(kl_model* model, bool unsliced) const {
    auto source = sized<kl_image_source>();
    source.pixels = pixels_.data();
    source.width = width_;
    source.height = height_;
    source.pixel_format = KL_PIXELS_RGB8;
    auto how = sized<kl_image_options>();
    how.unsliced = unsliced ? 1 : 0;
    Image image;
    check(kl_image_open(model, &source, &how, image.out()));
    return image;
  }

 private:
  uint32_t width_;
  uint32_t height_;
  std::vector<uint8_t> pixels_;  // RGB
};

// A question of about `tokens` tokens.
std::string question_of(kl_model* model, uint32_t tokens) {
  std::string question = "What";
  while (tokenize(model, question, false, true).size() < tokens) question += " what";
  return question;
}

struct FirstToken {
  double seconds = 0;  // from handing over the pixels
  int32_t tier = KL_TIER_NONE;
};

FirstToken first_token(kl_model* model, const BenchOptions& options, uint64_t seed) {
  const std::string question = question_of(model, options.question);
  Session session;
  check(kl_session_new(model, nullptr, session.out()));
  auto send = sized<kl_send_options>();
  send.max_tokens = 1;
  send.ignore_end = 1;
  const Noise noise(options, seed);
  const double began = now();
  const Image image = noise.open(model, true);
  kl_image* handle = image;
  send.images = &handle;
  send.image_count = 1;
  Generation generation;
  check(kl_session_send(session, question.c_str(), &send, generation.out()));
  for (auto event = sized<kl_event>(); event.kind < KL_EVENT_TOKEN;) {
    check(kl_generation_next(generation, -1, &event));
    if (event.kind == KL_EVENT_FAILED) fail("%s", event.text);
  }
  return {now() - began, info_of(image).tier};
}

// Somebody else's endless answer: when the context is full it begins again.
class Talker {
 public:
  explicit Talker(kl_model* model) {
    check(kl_session_new(model, nullptr, session_.out()));
    start();
    listen([this] { return tokens_ > 2; });
  }
  ~Talker() { (void)kl_generation_cancel(generation_); }
  Talker(const Talker&) = delete;
  Talker& operator=(const Talker&) = delete;

  // Seconds until `done`.
  template <class Done>
  double listen(const Done& done) {
    const double began = now();
    do {
      auto event = sized<kl_event>();
      check(kl_generation_next(generation_, kMomentMs, &event));
      if (event.kind == KL_EVENT_TOKEN) ++tokens_;
      if (event.kind == KL_EVENT_FAILED) fail("%s", event.text);
      if (event.kind == KL_EVENT_FINISHED) start();
    } while (!done());
    return now() - began;
  }
  uint32_t tokens() const { return tokens_; }  // heard so far

 private:
  void start() {
    generation_ = {};
    auto prompt = sized<kl_prompt>();
    prompt.text = "Once";
    prompt.text_length = 4;
    auto send = sized<kl_send_options>();
    send.ignore_end = 1;
    check(kl_session_generate_raw(session_, &prompt, &send, generation_.out()));
  }

  Session session_;
  Generation generation_;
  uint32_t tokens_ = 0;
};

struct Beside {
  Spread encode, pace;  // seconds; share of the undisturbed pace
};

// Pace: the time that the tokens heard beside the encode take undisturbed, the same ones of the same answer, over the time they took. (Tokens per second before and beside it
// would compare a short context with a longer one: while a picture encodes for ten seconds, an answer grows by a thousand tokens and slows down by itself.)
Beside measure_beside(kl_model* model, const BenchOptions& options, bool unsliced, uint64_t& seed) {
  std::vector<double> encode;
  std::vector<double> pace;
  for (uint32_t rep = 0; rep < options.reps; ++rep) {
    uint32_t first = 0, last = 0;  // tokens of the answer that were heard beside the encode
    {
      Talker talker(model);
      const double until = now() + kWindow;
      talker.listen([&] { return now() >= until; });
      first = talker.tokens();
      const Noise noise(options, ++seed);
      const Image image = noise.open(model, unsliced);
      encode.push_back(talker.listen([&] { return info_of(image).state == KL_IMAGE_READY; }));
      last = talker.tokens();
    }
    Talker talker(model);
    talker.listen([&] { return talker.tokens() >= first; });
    pace.push_back(last == first ? 0 : talker.listen([&] { return talker.tokens() >= last; }) / encode.back());
  }
  return {spread_of(encode), spread_of(pace)};
}

// With a tier that was not meant, the figure would be of something else.
void expect_tier(bool as_meant, const char* what) {
  if (!as_meant) fail("expected the features %s, they came from elsewhere", what);
}

// What one picture costs.
struct Cost {
  kl_image_info info = {};
  uint64_t macs = 0;
  Spread encode;              // seconds, nothing else to do
  Spread cold, memory, disk;  // seconds to the first token
  Beside sliced, unsliced;
  double gmac_per_s() const { return static_cast<double>(macs) / encode.median / 1e9; }
};

void measure_encode(const BenchOptions& options, kl_engine* engine, kl_model* model, uint64_t& seed, Cost& cost) {
  std::vector<double> seconds;
  for (uint32_t rep = 0; rep <= options.reps; ++rep) {  // the first warms
    auto before = sized<kl_engine_stats>();
    auto after = sized<kl_engine_stats>();
    const Noise noise(options, ++seed);
    check(kl_engine_get_stats(engine, &before));
    cost.info = wait_for(options.common, noise.open(model, true));
    check(kl_engine_get_stats(engine, &after));
    cost.macs = after.macs - before.macs;
    if (rep > 0) seconds.push_back(cost.info.encode_s);
  }
  cost.encode = spread_of(seconds);
}

void measure_first_tokens(const BenchOptions& options, int32_t threads, kl_model* model, uint64_t& seed, Cost& cost) {
  std::vector<double> cold;
  std::vector<double> memory;
  std::vector<double> disk;
  for (uint32_t rep = 0; rep < options.reps; ++rep) {
    const FirstToken first = first_token(model, options, ++seed);
    expect_tier(first.tier == KL_TIER_NONE, "to be encoded");
    const FirstToken again = first_token(model, options, seed);
    expect_tier(again.tier == KL_TIER_DEVICE || again.tier == KL_TIER_HOST, "from memory");
    cold.push_back(first.seconds);
    memory.push_back(again.seconds);
  }
  for (uint32_t rep = 0; rep < options.reps; ++rep) {
    std::vector<std::string> words = {"first-answer", "--quiet",
                                      "--model",      options.common.model,
                                      "--projector",  options.common.projector,
                                      "--backend",    options.common.backend,
                                      "--device",     std::to_string(options.common.device),
                                      "--cache-dir",  options.common.cache_dir,
                                      "--question",   std::to_string(options.question),
                                      "--image-size", text("%ux%u", options.image_width, options.image_height),
                                      "--picture",    std::to_string(seed - rep)};
    if (threads != 0) words.insert(words.end(), {"--threads", std::to_string(threads)});
    disk.push_back(std::strtod(output_of_this_program(words).c_str(), nullptr));
  }
  cost.cold = spread_of(cold);
  cost.memory = spread_of(memory);
  cost.disk = spread_of(disk);
}

Json as_json(const Spread& spread) { return {{"median", spread.median}, {"min", spread.min}, {"max", spread.max}}; }
Json as_json(const Beside& beside) { return {{"encode_s", as_json(beside.encode)}, {"pace", as_json(beside.pace)}}; }

Json as_json(const BenchOptions& options, int32_t threads, const Cost& cost) {
  return {{"threads", threads},
          {"width", options.image_width},
          {"height", options.image_height},
          {"tiles", cost.info.tiles},
          {"rows", cost.info.rows},
          {"macs", cost.macs},
          {"preprocess_s", cost.info.preprocess_s},
          {"encode_s", as_json(cost.encode)},
          {"encode_gmac_per_s", cost.gmac_per_s()},
          {"question", options.question},
          {"ttft_cold_s", as_json(cost.cold)},
          {"ttft_memory_s", as_json(cost.memory)},
          {"ttft_disk_s", as_json(cost.disk)},
          {"beside_sliced", as_json(cost.sliced)},
          {"beside_unsliced", as_json(cost.unsliced)}};
}

std::string as_text(const Spread& spread, double factor, const char* unit) {
  return text("%.1f %s [%.1f-%.1f]", factor * spread.median, unit, factor * spread.min, factor * spread.max);
}
std::string as_text(const Beside& beside) {
  return "it keeps " + as_text(beside.pace, 100, "%") + " of its pace, the encode takes " + as_text(beside.encode, 1e3, "ms") + "\n";
}

std::string as_text(const BenchOptions& options, const Cost& cost, const kl_roofline* roof) {
  std::string result =
      text("picture of %u x %u: %u tile(s), %u rows, %.1f G multiply-adds, prepared in %.1f ms\n", options.image_width,
           options.image_height, cost.info.tiles, cost.info.rows, static_cast<double>(cost.macs) / 1e9, 1e3 * cost.info.preprocess_s);
  result += "encode          " + as_text(cost.encode, 1e3, "ms") + text(", %.0f G MAC/s", cost.gmac_per_s());
  if (roof != nullptr) {
    result += text(": %.0f %% of the int8 peak, %.0f %% of the fp32 peak", 100 * cost.gmac_per_s() / roof->int8_gmac_per_s,
                   200 * cost.gmac_per_s() / roof->fp32_gflop_per_s);
  }
  result += text("\nfirst token     question of %u tokens, from the pixels on\n", options.question);
  result += "  cold          " + as_text(cost.cold, 1e3, "ms") + "\n";
  result += "  from memory   " + as_text(cost.memory, 1e3, "ms") + text(", %.1f times sooner\n", cost.cold.median / cost.memory.median);
  result += "  from disk     " + as_text(cost.disk, 1e3, "ms") +
            text(", %.1f times sooner (another process)\n", cost.cold.median / cost.disk.median);
  return result + "while another session decodes\n  sliced        " + as_text(cost.sliced) + "  unsliced      " + as_text(cost.unsliced);
}

}  // namespace

Json bench_images(BenchOptions options, int32_t threads, const kl_roofline* roof) {
  const TemporaryFolder folder;
  options.common.cache_dir = folder.path();
  const Engine engine = open_engine(options.common, threads);
  const Model model = load_model(options.common, engine, model_options(options.common, options.common.kv_or_default()));
  uint64_t seed = options.common.seed;
  Cost cost;
  measure_encode(options, engine, model, seed, cost);
  measure_first_tokens(options, threads, model, seed, cost);
  cost.sliced = measure_beside(model, options, false, seed);
  cost.unsliced = measure_beside(model, options, true, seed);
  if (!options.common.json) {
    print(as_text(options, cost, roof));
    finish_output();
  }
  return as_json(options, threads, cost);
}

void add_image_size(CLI::App& app, BenchOptions& options) {
  app.add_option_function<std::string>(
      "--image-size",
      [&options](const std::string& size) {
        unsigned width = 0;
        unsigned height = 0;
        char rest = '\0';
        const int got = std::sscanf(size.c_str(), "%5ux%5u%c", &width, &height, &rest);
        if (got == 1 && size.find_first_not_of("0123456789") == std::string::npos) height = width;
        if ((got != 1 && got != 2) || width == 0 || height == 0)
          throw CLI::ValidationError("--image-size", "expected pixels as 512 or 640x480, got " + size);
        options.image_width = width;
        options.image_height = height;
      },
      "with --projector: pixels of the picture, 512 or 640x480 (default 512)");
  app.add_option("--question", options.question, "with --projector: tokens of the question (default 16)")->check(CLI::Range(1U, 4096U));
}

void add_first_answer(CLI::App& app) {
  struct FirstAnswer {
    BenchOptions bench;
    uint64_t picture = 0;
  };
  auto options = std::make_shared<FirstAnswer>();
  CLI::App* command = app.add_subcommand("first-answer", "")->group("");
  options->bench.common.add_to(*command);
  command->add_option("--projector", options->bench.common.projector);
  command->add_option("--picture", options->picture);
  add_image_size(*command, options->bench);
  command->callback([options] {
    const BenchOptions& bench = options->bench;
    const Engine engine = open_engine(bench.common, bench.common.threads_or_default());
    const Model model = load_model(bench.common, engine, model_options(bench.common, bench.common.kv_or_default()));
    (void)first_token(model, bench, UINT64_MAX);  // warms what the other figures had warm: recordings, caches, clocks
    const FirstToken first = first_token(model, bench, options->picture);
    expect_tier(first.tier == KL_TIER_DISK, "from disk");
    print(text("%.9f\n", first.seconds));
  });
}

}  // namespace tool
