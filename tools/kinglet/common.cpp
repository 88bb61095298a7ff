#include "common.h"

#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <chrono>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <memory>

namespace tool {
namespace {

std::string formatted(const char* format, va_list arguments) {
  va_list again;
  va_copy(again, arguments);
  const int length = std::vsnprintf(nullptr, 0, format, arguments);
  std::string result(length > 0 ? static_cast<size_t>(length) : 0, '\0');
  if (length > 0) std::vsnprintf(result.data(), result.size() + 1, format, again);
  va_end(again);
  return result;
}

// The user's cache folder, as the XDG base directory specification says; empty when there is no home.
std::string default_cache_dir() {
  std::filesystem::path base;
  if (const char* cache = std::getenv("XDG_CACHE_HOME"); cache != nullptr && *cache == '/') {
    base = cache;
  } else if (const char* home = std::getenv("HOME"); home != nullptr && *home == '/') {
    base = std::filesystem::path(home) / ".cache";
  } else {
    return {};
  }
  std::error_code ignored;  // a new account has no such folder yet; what is wrong with it is said when it is used
  std::filesystem::create_directories(base, ignored);
  return (base / "kinglet").string();
}

void log_to_stderr(void*, kl_log_level level, const char* message) {
  std::fprintf(stderr, "kinglet: %s%s\n", level == KL_LOG_ERROR ? "problem: " : level == KL_LOG_WARNING ? "warning: " : "", message);
}

int32_t show_load_progress(void* progress, double fraction) {
  static_cast<Progress*>(progress)->show(fraction);
  return 0;
}

int32_t index_of(const std::string& name, std::initializer_list<const char*> names) {
  int32_t index = 0;
  for (const char* candidate : names) {
    if (name == candidate) return index;
    ++index;
  }
  return 0;
}

}  // namespace

#define KL_TOOL_FORMATTED(result)                    \
  va_list arguments;                                 \
  va_start(arguments, format);                       \
  std::string result = formatted(format, arguments); \
  va_end(arguments)

void fail(const char* format, ...) {
  KL_TOOL_FORMATTED(message);
  throw Failure{1, std::move(message)};
}

void fail_usage(const char* format, ...) {
  KL_TOOL_FORMATTED(message);
  throw Failure{2, std::move(message)};
}

std::string text(const char* format, ...) {
  KL_TOOL_FORMATTED(result);
  return result;
}

void note(const Common& common, const char* format, ...) {
  if (common.quiet) return;
  KL_TOOL_FORMATTED(line);
  std::fprintf(stderr, "kinglet: %s\n", line.c_str());
}

void check(kl_status status) {
  if (status != KL_OK) throw Failure{1, kl_last_error()};
}

void Common::add_to(CLI::App& app, bool lists) {
  cache_dir = default_cache_dir();
  const int most = lists ? 64 : 1;
  app.add_option("--model", model, "GGUF file, or the first part of a split one");
  app.add_option("--backend", backend, "what computes (default auto)")
      ->check(CLI::IsMember({"auto", "cpu", "cuda", "vulkan", "reference"}));
  app.add_option("--device", device, "which device of the backend, from 0")->check(CLI::Range(0, 255));
  app.add_option("--threads", threads, "CPU threads (default: one per core)")->check(CLI::Range(1, 256))->delimiter(',')->expected(1, most);
  app.add_option("--kv", kv, "cache format (default f16; f32 with reference)")
      ->check(CLI::IsMember({"f32", "f16", "q8", "q4"}))
      ->delimiter(',')
      ->expected(1, most);
  app.add_option("--activations", activations, "what quantized linears round their input to")->check(CLI::IsMember({"f32", "f16", "q8"}));
  app.add_option("--ctx", ctx, "context in tokens")->check(CLI::Range(1U, 1U << 24U));
  app.add_option("--seed", seed, "of the random numbers");
  app.add_option("--cache-dir", cache_dir, "folder for packed weights; empty: none");
  app.add_flag("--no-mmap", no_mmap, "read the file instead of mapping it");
  app.add_flag("--json", json, "result as one JSON object");
  app.add_flag("--quiet", quiet, "no progress and no warnings");
}

void Common::need_model() const {
  if (model.empty()) fail_usage("expected --model FILE, it was not given");
}

int32_t kv_number(const std::string& name) { return index_of(name, {"", "f32", "f16", "q8", "q4"}); }

Engine open_engine(const Common& common, int32_t threads) {
  auto options = sized<kl_engine_options>();
  options.backend = index_of(common.backend, {"auto", "cpu", "reference", "vulkan", "cuda"});
  options.device = common.device;
  options.threads = threads;
  options.min_log_level = KL_LOG_WARNING;
  options.log = common.quiet ? nullptr : log_to_stderr;
  options.cache_dir = common.cache_dir.empty() ? nullptr : common.cache_dir.c_str();
  options.no_feature_cache = common.no_feature_cache ? 1 : 0;
  Engine engine;
  check(kl_engine_open(&options, engine.out()));
  return engine;
}

kl_model_options model_options(const Common& common, const std::string& kv) {
  auto options = sized<kl_model_options>();
  options.context = common.ctx;
  options.kv = kv_number(kv);
  options.activations = index_of(common.activations, {"", "f32", "f16", "q8"});
  options.no_mmap = common.no_mmap ? 1 : 0;
  options.projector = common.projector.empty() ? nullptr : common.projector.c_str();
  return options;
}

Model load_model(const Common& common, kl_engine* engine, kl_model_options options) {
  Progress progress(common, "loading");
  options.progress = show_load_progress;
  options.progress_user = &progress;
  Model model;
  check(kl_model_load(engine, common.model.c_str(), &options, model.out()));
  return model;
}

Model load_vocabulary(const Common& common, kl_engine* engine) {
  auto options = sized<kl_model_options>();
  options.no_mmap = common.no_mmap ? 1 : 0;
  options.vocabulary_only = 1;
  Model model;
  check(kl_model_load(engine, common.model.c_str(), &options, model.out()));
  return model;
}

std::string taken(char* text, size_t length) {
  std::string result(text, length);
  kl_free(text);
  return result;
}

std::string model_text(kl_model* model, int32_t kind, uint32_t rows) {
  char* text = nullptr;
  size_t length = 0;
  check(kl_model_text(model, kind, rows, &text, &length));
  return taken(text, length);
}

std::vector<int32_t> tokenize(kl_model* model, std::string_view text, bool special, bool no_bos) {
  auto options = sized<kl_tokenize_options>();
  options.special = special ? 1 : 0;
  options.no_bos = no_bos ? 1 : 0;
  int32_t* ids = nullptr;
  size_t count = 0;
  check(kl_tokenize(model, text.data(), text.size(), &options, &ids, &count));
  std::vector<int32_t> result(ids, ids + count);
  kl_free(ids);
  return result;
}

std::vector<int32_t> parse_ids(std::string_view text, const char* where) {
  std::vector<int32_t> ids;
  for (size_t at = text.find_first_not_of(" ,\t\r\n"); at < text.size(); at = text.find_first_not_of(" ,\t\r\n", at)) {
    const size_t end = std::min(text.find_first_of(" ,\t\r\n", at), text.size());
    int32_t id = 0;
    const auto [stop, error] = std::from_chars(text.data() + at, text.data() + end, id);
    if (error != std::errc() || stop != text.data() + end) {
      fail_usage("expected token ids separated by spaces in %s, got \"%.40s\"", where, std::string(text.substr(at, end - at)).c_str());
    }
    ids.push_back(id);
    at = end;
  }
  if (ids.empty()) fail_usage("expected at least one token id in %s, got none", where);
  return ids;
}

std::string read_file(const std::string& path) {
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen(path.c_str(), "rb"), std::fclose);
  if (file == nullptr) fail("expected to read \"%s\": %s", path.c_str(), std::strerror(errno));
  std::string content;
  char block[1 << 16];
  for (size_t got = 0; (got = std::fread(block, 1, sizeof block, file.get())) > 0;) content.append(block, got);
  if (std::ferror(file.get()) != 0) fail("expected to read \"%s\": %s", path.c_str(), std::strerror(errno));
  return content;
}

void print(std::string_view text) {
  if (std::fwrite(text.data(), 1, text.size(), stdout) != text.size()) {
    if (errno == EPIPE) throw ClosedPipe{};
    fail("expected to write to standard output: %s", std::strerror(errno));
  }
}

void print_json(const Json& value) {
  Json object = {{"schema", 1}};
  object.update(value);
  print(object.dump(2, ' ', false, Json::error_handler_t::replace) + "\n");
}

void finish_output() {
  if (std::fflush(stdout) != 0) {
    if (errno == EPIPE) throw ClosedPipe{};
    fail("expected to write to standard output: %s", std::strerror(errno));
  }
}

Progress::Progress(const Common& common, std::string label)
    : label_(std::move(label)), shown_(!common.quiet && isatty(STDERR_FILENO) == 1) {}

Progress::~Progress() { hide(); }

void Progress::hide() {
  if (shown_ && percent_ >= 0) std::fprintf(stderr, "\r\033[K");
  percent_ = -1;
}

void Progress::show(double fraction) {
  const int percent = static_cast<int>(fraction * 100);
  if (!shown_ || percent == percent_) return;
  percent_ = percent;
  std::fprintf(stderr, "\r%s %3d %%", label_.c_str(), percent);
}

double now() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

}  // namespace tool
