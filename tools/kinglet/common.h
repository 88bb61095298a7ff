// What the subcommands share: options, errors, owning handles over the C header, output. A subcommand is one file: it adds its options and a function to run.
#pragma once
#include <kinglet/kinglet.h>

#include <CLI/CLI.hpp>
#include <cstdint>
#include <functional>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace tool {

using Json = nlohmann::ordered_json;

// Ends a subcommand: main prints the message as one line and exits with the status.
struct Failure {
  int exit_status;  // 1: the work failed, 2: wrong usage
  std::string message;
};
[[noreturn, gnu::format(printf, 1, 2)]] void fail(const char* format, ...);
[[noreturn, gnu::format(printf, 1, 2)]] void fail_usage(const char* format, ...);
[[gnu::format(printf, 1, 2)]] std::string text(const char* format, ...);
// Ends the subcommand with the library's own sentence unless the status is KL_OK.
void check(kl_status status);
// Standard output was closed by its reader: ends the program quietly.
struct ClosedPipe {};

// Owns a handle of the C header.
template <class T, kl_status (*destroy)(T*)>
class Handle {
 public:
  Handle() = default;
  Handle(Handle&& other) noexcept : handle_(std::exchange(other.handle_, nullptr)) {}
  Handle& operator=(Handle&& other) noexcept {
    std::swap(handle_, other.handle_);
    return *this;
  }
  ~Handle() {
    if (handle_ != nullptr) destroy(handle_);
  }
  operator T*() const { return handle_; }  // NOLINT(google-explicit-constructor)
  T** out() { return &handle_; }           // for a call that makes one; must be empty

 private:
  T* handle_ = nullptr;
};
using Engine = Handle<kl_engine, kl_engine_destroy>;
using Model = Handle<kl_model, kl_model_destroy>;
using Session = Handle<kl_session, kl_session_destroy>;
using Generation = Handle<kl_generation, kl_generation_destroy>;
using Sequence = Handle<kl_sequence, kl_sequence_destroy>;

// A struct of the C header, zero but for its size: sized<kl_model_info>().
template <class T>
T sized() {
  T value = {};
  value.size = sizeof(T);
  return value;
}

// The options common to all subcommands. threads and kv hold one value, but for bench, where they may be lists.
struct Common {
  std::string model;
  std::string backend = "auto";
  int32_t device = 0;
  std::vector<int32_t> threads;  // empty: the library's choice
  std::vector<std::string> kv;   // empty: the library's choice
  std::string activations;       // likewise
  std::string cache_dir;
  std::string projector;  // by subcommands that take pictures (pictures.h)
  uint32_t ctx = 0;       // 0: the subcommand's default
  uint64_t seed = 0;
  bool no_mmap = false;
  bool json = false;
  bool quiet = false;
  bool no_feature_cache = false;

  void add_to(CLI::App& app, bool lists = false);
  // Usage error when --model was not given.
  void need_model() const;
  int32_t threads_or_default() const { return threads.empty() ? 0 : threads.front(); }
  std::string kv_or_default() const { return kv.empty() ? std::string() : kv.front(); }
};

int32_t kv_number(const std::string& name);  // "" is KL_KV_DEFAULT

Engine open_engine(const Common& common, int32_t threads);
// The options of kl_model_load that follow from the command line; add to them before load_model.
kl_model_options model_options(const Common& common, const std::string& kv);
// Loads with a progress line on standard error when that is a terminal.
Model load_model(const Common& common, kl_engine* engine, kl_model_options options);
// Header, tokenizer and template only.
Model load_vocabulary(const Common& common, kl_engine* engine);

// Text and ids that the library hands out.
std::string taken(char* text, size_t length);
std::string model_text(kl_model* model, int32_t kind, uint32_t rows = 1);
std::vector<int32_t> tokenize(kl_model* model, std::string_view text, bool special, bool no_bos);

// "1 2 3" or "1,2,3" or lines. Usage error on anything but whole numbers of 32 bits.
std::vector<int32_t> parse_ids(std::string_view text, const char* where);
std::string read_file(const std::string& path);

// Standard output: results only. print throws ClosedPipe when the reader is gone and Failure when the disk is full; finish_output does what is pending.
void print(std::string_view text);
void print_json(const Json& value);  // with "schema": 1 in front
void finish_output();

// A line on standard error that is rewritten in place; nothing with --quiet or when standard error is no terminal.
class Progress {
 public:
  Progress(const Common& common, std::string label);
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;
  void show(double fraction);
  void hide();  // clears the line before other output

 private:
  std::string label_;
  bool shown_;
  int percent_ = -1;
};
// A line on standard error, but with --quiet.
[[gnu::format(printf, 2, 3)]] void note(const Common& common, const char* format, ...);

double now();  // seconds of a steady clock

void add_devices(CLI::App& app);
void add_inspect(CLI::App& app);
void add_tokenize(CLI::App& app);
void add_detokenize(CLI::App& app);
void add_render(CLI::App& app);
void add_generate(CLI::App& app);
void add_features(CLI::App& app);
void add_logits(CLI::App& app);
void add_eval(CLI::App& app);
void add_bench(CLI::App& app);

}  // namespace tool
