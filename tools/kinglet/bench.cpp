// kinglet bench: the machine's roof first, then prefill and decode beside it, loads, and the time to the first token.
#include "bench.h"

#include <algorithm>
#include <fstream>
#include <map>
#include <random>
#include <thread>

namespace tool {
namespace {

constexpr uint32_t kBlockSlack = 64;  // tokens a sequence may take more than its length: a cache hands out whole blocks

struct Roof {
  bool known = false;
  kl_roofline line = {};
};

std::string processor_name() {
  std::ifstream info("/proc/cpuinfo");
  for (std::string line; std::getline(info, line);) {
    const size_t colon = line.find(": ");
    if (line.starts_with("model name") && colon != std::string::npos) return line.substr(colon + 2);
  }
  return {};
}

Roof measure_roof(kl_engine* engine, int32_t threads) {
  Roof roof;
  roof.line = sized<kl_roofline>();
  const kl_status status = kl_engine_measure(engine, threads, &roof.line);
  if (status != KL_UNSUPPORTED) check(status);  // a device without this measurement still has speeds, but no shares
  roof.known = status == KL_OK;
  return roof;
}

Json or_null(bool known, double value) { return known ? Json(value) : Json(nullptr); }

void add_spread(Json& object, const char* name, bool known, const Spread& spread) {
  object[name] = or_null(known, spread.median);
  object[std::string(name) + "_min"] = or_null(known, spread.min);
  object[std::string(name) + "_max"] = or_null(known, spread.max);
}

double share(double value, double roof) { return roof > 0 ? value / roof : 0; }

Json as_json(const BenchResult& result, const Roof& roof) {
  Json object = {{"threads", result.threads}, {"kv", result.kv},         {"batch", result.batch},
                 {"depth", result.depth},     {"prompt", result.prompt}, {"gen", result.gen}};
  add_spread(object, "prefill_tokens_per_s", result.prompt > 0, result.prefill);
  add_spread(object, "decode_tokens_per_s", result.gen > 0, result.decode);
  object["prefill_share"] = or_null(roof.known && result.prompt > 0, share(result.prefill_gmac_per_s, roof.line.int8_gmac_per_s));
  object["decode_share"] = or_null(roof.known && result.gen > 0, share(result.decode_gb_per_s, roof.line.read_gb_per_s));
  object["prefill_gmac_per_s"] = or_null(result.prompt > 0, result.prefill_gmac_per_s);
  object["decode_gb_per_s"] = or_null(result.gen > 0, result.decode_gb_per_s);
  add_spread(object, "ttft_s", true, result.ttft);
  add_spread(object, "load_s", true, result.load);
  return object;
}

std::string cell(bool known, const Spread& speed, bool share_known, double of_roof) {
  if (!known) return "-";
  std::string result = text("%.1f [%.1f-%.1f]", speed.median, speed.min, speed.max);
  if (share_known) result += text(" %2.0f %%", 100 * of_roof);
  return result;
}

std::string as_text(const BenchResult& result, const Roof& roof) {
  return text("%7d %4s %5u %6u %6u %5u  %-32s %-32s %7.3f  %6.3f\n", result.threads, result.kv.c_str(), result.batch, result.depth,
              result.prompt, result.gen,
              cell(result.prompt > 0, result.prefill, roof.known, share(result.prefill_gmac_per_s, roof.line.int8_gmac_per_s)).c_str(),
              cell(result.gen > 0, result.decode, roof.known, share(result.decode_gb_per_s, roof.line.read_gb_per_s)).c_str(),
              result.ttft.median, result.load.median);
}

kl_model_options load_options(const BenchOptions& options, const std::string& kv) {
  kl_model_options load = model_options(options.common, kv);
  const uint32_t batch = *std::max_element(options.batch.begin(), options.batch.end());
  load.context = options.context();
  load.max_sequences = std::max(32U, batch);
  load.kv_tokens = static_cast<uint64_t>(load.context + kBlockSlack) * (batch + 1);
  return load;
}

// Every combination of batch, depth, prompt and gen on one model.
template <class Each>
void combinations(const BenchOptions& options, const Each& each) {
  for (const uint32_t batch : options.batch) {
    for (const uint32_t depth : options.depth) {
      for (const uint32_t prompt : options.prompt) {
        for (const uint32_t gen : options.gen) each(batch, depth, prompt, gen);
      }
    }
  }
}

void run(const BenchOptions& options) {
  options.common.need_model();
  BenchOptions without_limit = options;
  without_limit.common.ctx = 0;
  if (options.context() < without_limit.context()) {
    fail_usage("expected --ctx of at least %u for these depths and lengths, got %u", without_limit.context(), options.context());
  }
  const std::vector<int32_t> thread_list = options.common.threads.empty() ? std::vector<int32_t>{0} : options.common.threads;
  const std::vector<std::string> kv_list = options.common.kv.empty() ? std::vector<std::string>{""} : options.common.kv;

  Json machine = {{"cpu", processor_name()}, {"cores", std::thread::hardware_concurrency()}};
  Json results = Json::array();
  std::string device_line;
  for (const int32_t wanted_threads : thread_list) {
    const Engine engine = open_engine(options.common, wanted_threads);
    auto device = sized<kl_device_info>();
    check(kl_engine_device(engine, &device));
    const int32_t threads = wanted_threads != 0 ? wanted_threads : device.threads;
    note(options.common, "measuring the machine with %d threads", threads);
    const Roof roof = measure_roof(engine, wanted_threads);
    const std::string key = std::to_string(threads);
    machine["backend"] = device.backend_name;
    machine["device"] = device.name;
    machine["tier"] = device.tier;
    machine["read_gb_per_s"][key] = or_null(roof.known, roof.line.read_gb_per_s);
    machine["int8_gmac_per_s"][key] = or_null(roof.known, roof.line.int8_gmac_per_s);
    machine["fp32_gflop_per_s"][key] = or_null(roof.known, roof.line.fp32_gflop_per_s);
    if (!options.common.json) {
      if (device_line.empty()) print(device_line = text("%s %s, %s\n", device.backend_name, device.name, device.tier));
      print(roof.known ? text("roof with %d threads: reads %.1f GB/s, int8 %.0f G MAC/s, fp32 %.0f GFLOP/s\n", threads,
                              roof.line.read_gb_per_s, roof.line.int8_gmac_per_s, roof.line.fp32_gflop_per_s)
                       : text("roof with %d threads: not measured on this device\n", threads));
    }
    if (!options.common.projector.empty()) {
      results.push_back(bench_images(options, threads, roof.known ? &roof.line : nullptr));
      continue;
    }
    if (!options.common.json) {
      print(text("%7s %4s %5s %6s %6s %5s  %-32s %-32s %7s  %6s\n", "threads", "kv", "batch", "depth", "prompt", "gen",
                 "prefill/s [range] share of int8", "decode/s [range] share of reads", "first s", "load s"));
      finish_output();
    }
    for (const std::string& kv : kv_list) {
      std::vector<double> loads;
      Model model;
      for (uint32_t rep = 0; rep < options.reps; ++rep) {
        model = Model();  // one at a time in memory
        const double began = now();
        model = load_model(options.common, engine, load_options(options, kv));
        loads.push_back(now() - began);
      }
      auto info = sized<kl_model_info>();
      check(kl_model_get_info(model, &info));
      std::map<uint32_t, Spread> first_tokens;  // by prompt length: depth and batch do not change it
      combinations(options, [&](uint32_t batch, uint32_t depth, uint32_t prompt, uint32_t gen) {
        BenchResult result;
        result.threads = threads;
        result.kv = info.kv;
        result.batch = batch;
        result.depth = depth;
        result.prompt = prompt;
        result.gen = gen;
        result.load = spread_of(loads);
        measure_speeds(options, model, result);
        if (!first_tokens.contains(prompt)) {
          std::vector<double> seconds;
          for (uint32_t rep = 0; rep < options.reps; ++rep) {
            seconds.push_back(measure_first_token(options.common, wanted_threads, kv, options.context(), std::max(prompt, 1U)));
          }
          first_tokens[prompt] = spread_of(seconds);
        }
        result.ttft = first_tokens[prompt];
        results.push_back(as_json(result, roof));
        if (!options.common.json) {
          print(as_text(result, roof));
          finish_output();
        }
      });
    }
  }
  if (options.common.json)
    print_json({{"version", kl_version()}, {"model", options.common.model}, {"machine", machine}, {"results", results}});
}

}  // namespace

uint32_t BenchOptions::context() const {
  if (common.ctx != 0) return common.ctx;
  const uint32_t longest = std::max(*std::max_element(prompt.begin(), prompt.end()), *std::max_element(gen.begin(), gen.end()) + 1);
  return *std::max_element(depth.begin(), depth.end()) + longest;
}

Spread spread_of(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const size_t half = values.size() / 2;
  return {values.size() % 2 == 1 ? values[half] : (values[half - 1] + values[half]) / 2, values.front(), values.back()};
}

std::vector<int32_t> random_ids(const kl_model_info& info, size_t count, uint64_t seed) {
  std::mt19937_64 random(seed);
  std::vector<int32_t> ids(count);
  for (int32_t& id : ids) id = static_cast<int32_t>(random() % info.vocabulary);
  if (info.bos >= 0 && !ids.empty()) ids[0] = info.bos;
  return ids;
}

void add_bench(CLI::App& app) {
  auto options = std::make_shared<BenchOptions>();
  CLI::App* command = app.add_subcommand("bench", "the machine's roof, and the model's speeds beside it; lists as --threads 1,2");
  options->common.add_to(*command, true);
  const auto list = [&](const char* name, std::vector<uint32_t>& values, const char* what, uint32_t least) {
    command->add_option(name, values, what)->delimiter(',')->expected(1, 64)->check(CLI::Range(least, 1U << 20U));
  };
  list("--prompt", options->prompt, "tokens of the prefill (default 512); 0: none", 0);
  list("--gen", options->gen, "tokens decoded (default 128); 0: none", 0);
  list("--depth", options->depth, "tokens already in the cache (default 0)", 0);
  list("--batch", options->batch, "sequences at once (default 1)", 1);
  command->add_option("--reps", options->reps, "repetitions (default 5)")->check(CLI::Range(1U, 1000U));
  command->add_option("--projector", options->common.projector,
                      "companion GGUF file with the vision encoder: measures what a picture costs instead");
  add_image_size(*command, *options);
  command->callback([options] { run(*options); });
  add_first_token(app);
  add_first_answer(app);
}

}  // namespace tool
