// gpu_bench [--device N] [--shapes NAME,NAME] [--repeats N] [--quick] [--json FILE]: what a card costs, then decode and prefill of decoders of true shape with
// random weights made on the device. Prints a table; writes the same as JSON. Ends with 2 for wrong arguments, 3 where there is no card to run on.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "cuda/device.h"
#include "gpu_bench/model.h"
#include "gpu_bench/probe.h"

#if defined(KL_BENCH_EMULATED)
#include "cuda_host/driver.h"
#endif

namespace kl::gpu_bench {
namespace {

struct Options {
  uint32_t device = 0, repeats = 10;
  std::string shapes, json;
  bool quick = false, emulated = false;
};

int usage(const char* what, const char* value) {
  (void)std::fprintf(stderr,
                     "gpu_bench: error: %s%s\nusage: gpu_bench [--device N] [--shapes NAME,NAME] [--repeats N] [--quick] [--json FILE]\n",
                     what, value);
  return 2;
}

// Empty: not a number from 0 to 1000.
std::optional<uint32_t> number(const char* text) {
  char* end = nullptr;
  const unsigned long v = std::strtoul(text, &end, 10);
  if (end == text || *end != '\0' || v > 1000) return std::nullopt;
  return static_cast<uint32_t>(v);
}

// Shapes that a test can run; the names of the true ones are model.h's.
constexpr Shape kTiny = {"tiny", "llama", 2, 256, 512, 4, 2, 64, 300, true};

std::vector<Shape> chosen(const std::string& names, std::string& unknown) {
  if (names.empty()) return {std::begin(kShapes), std::end(kShapes)};
  std::vector<Shape> all;
  for (size_t at = 0; at <= names.size();) {
    const size_t end = std::min(names.find(',', at), names.size());
    const std::string name = names.substr(at, end - at);
    const auto* found = std::find_if(std::begin(kShapes), std::end(kShapes), [&](const Shape& s) { return name == s.name; });
    if (found != std::end(kShapes)) {
      all.push_back(*found);
    } else if (name == kTiny.name) {
      all.push_back(kTiny);
    } else {
      unknown = name;
    }
    at = end + 1;
  }
  return all;
}

std::string quoted(const std::string& text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    out += static_cast<unsigned char>(c) < 0x20 ? ' ' : c;
  }
  return out + "\"";
}

std::string text_of(const char* format, double value) {
  char text[64];
  (void)std::snprintf(text, sizeof text, format, value);
  return text;
}

std::string json_of(const BackendDevice& card, const CardCosts& c, const std::vector<ModelResult>& models) {
  std::string out = "{\"card\": " + quoted(card.info.name) + ", \"read_bytes_per_second\": " + text_of("%.4g", c.read_bytes_per_second) +
                    ", \"graph_seconds\": " + text_of("%.4g", c.graph_seconds) +
                    ", \"launch_seconds\": " + text_of("%.4g", c.launch_seconds) +
                    ", \"dependent_seconds\": " + text_of("%.4g", c.dependent_seconds) + ", \"models\": [";
  const auto rates = [](const std::vector<Rate>& all) {
    std::string text = "[";
    for (const Rate& r : all) {
      text += (text.size() > 1 ? ", " : "") + std::string("{\"batch\": ") + std::to_string(r.batch) +
              ", \"depth\": " + std::to_string(r.depth) + ", \"seconds\": " + text_of("%.6g", r.seconds) +
              ", \"tokens_per_second\": " + text_of("%.6g", r.tokens_per_second) +
              ", \"bytes_per_second\": " + text_of("%.4g", r.bytes_per_second) +
              ", \"alone_seconds\": " + text_of("%.6g", r.alone_seconds) + "}";
    }
    return text + "]";
  };
  for (size_t i = 0; i < models.size(); ++i) {
    const ModelResult& m = models[i];
    out += (i > 0 ? ", " : "") + std::string("{\"name\": ") + quoted(m.name) +
           ", \"not_run\": " + (m.not_run.empty() ? "null" : quoted(m.not_run)) + ", \"launches\": " + std::to_string(m.launches) +
           ", \"weight_bytes\": " + std::to_string(m.weight_bytes) + ", \"decode\": " + rates(m.decode) +
           ", \"prefill\": " + rates(m.prefill) + "}";
  }
  return out + "]}\n";
}

int run(const Options& o) {
  const cuda::Driver* driver = nullptr;
#if defined(KL_BENCH_EMULATED)
  if (o.emulated) driver = &cuda_host::driver();
#endif
  std::string unknown;
  const std::vector<Shape> shapes = chosen(o.shapes, unknown);
  if (!unknown.empty()) return usage("no such shape: ", unknown.c_str());
  const auto cards = cuda::list_cuda(driver);
  if (!cards.ok() || o.device >= cards->size()) {
    (void)std::fprintf(stderr, "gpu_bench: error: expected a card to run on: %s\n",
                       cards.ok() ? ("there are only " + std::to_string(cards->size())).c_str() : cards.status().message().c_str());
    return 3;
  }
  if (driver == nullptr) driver = *cuda::machine_driver();
  const BackendDevice& card = (*cards)[o.device];
  ProbeSizes sizes;
  if (o.quick) sizes = {uint64_t{1} << 20, 50, 1};
  const auto costs = probe_card(*driver, o.device, sizes);
  if (!costs.ok()) {
    (void)std::fprintf(stderr, "gpu_bench: error: %s\n", costs.status().message().c_str());
    return 1;
  }
  (void)std::printf(
      "card      %s\nread      %.0f GB/s\ngraph     %.2f us from its launch until it is known to be done\nlaunch    %.2f us more for each\n"
      "barrier   %.2f us more for each that waits for the one before\n\n",
      card.info.name.c_str(), costs->read_bytes_per_second / 1e9, costs->graph_seconds * 1e6, costs->launch_seconds * 1e6,
      costs->dependent_seconds * 1e6);
  (void)std::printf("%-14s %-8s %5s %6s %10s %10s %8s %8s %10s\n", "model", "step", "batch", "depth", "ms", "tokens/s", "GB/s", "of read",
                    "alone ms");
  std::vector<ModelResult> models;
  bool failed = false;
  for (const Shape& shape : shapes) {
    auto device = cuda::open_cuda({.device = o.device, .driver = driver});
    ModelResult m;
    m.name = shape.name;
    Setting setting;
    if (o.quick) setting = {.depth = 64, .batch = 2, .prompt = 32, .step_rows = 32};
    if (device.ok()) {
      m = measure(**device, shape, setting, o.repeats);
    } else {
      m.not_run = device.status().message();
    }
    for (const Rate& r : m.decode)
      (void)std::printf("%-14s %-8s %5u %6u %10.3f %10.1f %8.0f %7.0f%% %10.3f\n", shape.name, "decode", r.batch, r.depth, r.seconds * 1e3,
                        r.tokens_per_second, r.bytes_per_second / 1e9, 100 * r.bytes_per_second / costs->read_bytes_per_second,
                        r.alone_seconds * 1e3);
    for (const Rate& r : m.prefill)
      (void)std::printf("%-14s %-8s %5u %6u %10.3f %10.1f\n", shape.name, "prefill", r.batch, setting.prompt, r.seconds * 1e3,
                        r.tokens_per_second);
    if (!m.not_run.empty()) {
      failed = true;
      (void)std::printf("%-14s not run: %s\n", shape.name, m.not_run.c_str());
    }
    (void)std::fflush(stdout);
    models.push_back(std::move(m));
  }
  if (!o.json.empty()) {
    std::FILE* file = std::fopen(o.json.c_str(), "w");
    const std::string json = json_of(card, *costs, models);
    const bool written = file != nullptr && std::fwrite(json.data(), 1, json.size(), file) == json.size();
    if ((file != nullptr && std::fclose(file) != 0) || !written) {
      (void)std::fprintf(stderr, "gpu_bench: error: expected to write %s\n", o.json.c_str());
      return 1;
    }
  }
  return failed ? 1 : 0;
}

}  // namespace
}  // namespace kl::gpu_bench

int main(int count, char** words) {
  kl::gpu_bench::Options o;
  for (int i = 1; i < count; ++i) {
    const std::string word = words[i];
    const char* value = i + 1 < count ? words[i + 1] : nullptr;
    if (word == "--quick") {
      o.quick = true;
      continue;
    }
#if defined(KL_BENCH_EMULATED)
    if (word == "--emulated") {
      o.emulated = true;
      continue;
    }
#endif
    if (word != "--device" && word != "--repeats" && word != "--shapes" && word != "--json")
      return kl::gpu_bench::usage("unknown argument ", words[i]);
    if (value == nullptr) return kl::gpu_bench::usage("expected a value behind ", words[i]);
    ++i;
    if (word == "--shapes") {
      o.shapes = value;
    } else if (word == "--json") {
      o.json = value;
    } else {
      const auto n = kl::gpu_bench::number(value);
      if (!n || (word == "--repeats" && *n == 0)) return kl::gpu_bench::usage("expected a number up to 1000, not ", value);
      (word == "--device" ? o.device : o.repeats) = *n;
    }
  }
  return kl::gpu_bench::run(o);
}
