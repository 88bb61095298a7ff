#include "ops/op_case.h"

#include <algorithm>
#include <bit>
#include <chrono>
#include <cmath>
#include <cstring>
#include <fstream>
#include <random>
#include <sstream>

#include "backend/transfer.h"
#include "core/checked.h"
#include "core/formats.h"
#include "core/hash.h"
#include "ir/builder.h"
#include "plan/plan.h"

namespace kl::ops {

std::string OpCase::text() const {
  std::string out = op;
  for (const auto& [key, value] : keys) out += " " + key + "=" + value;
  return out;
}

std::string OpCase::name() const {
  std::string out = text();
  std::replace_if(
      out.begin(), out.end(), [](char c) { return std::isalnum(static_cast<unsigned char>(c)) == 0; }, '_');
  return out;
}

uint32_t OpCase::number(const char* key, uint32_t otherwise) const {
  const auto at = keys.find(key);
  return at == keys.end() ? otherwise : static_cast<uint32_t>(std::stoul(at->second));
}

std::string OpCase::word(const char* key, const char* otherwise) const {
  const auto at = keys.find(key);
  return at == keys.end() ? otherwise : at->second;
}

Result<std::vector<OpCase>> read_cases(const std::string& path) {
  std::ifstream file(path);
  if (!file) return error(Code::not_found, "%s does not exist", path.c_str());
  std::vector<OpCase> all;
  int number = 0;
  for (std::string line; std::getline(file, line);) {
    ++number;
    line = line.substr(0, line.find('#'));
    std::istringstream words(line);
    OpCase first;
    if (!(words >> first.op)) continue;
    std::vector<OpCase> cases = {first};
    for (std::string word; words >> word;) {
      const size_t equals = word.find('=');
      if (equals == std::string::npos) return error(Code::corrupt, "%s:%d: \"%s\" is not key=values", path.c_str(), number, word.c_str());
      std::vector<OpCase> next;
      std::istringstream values(word.substr(equals + 1));
      for (std::string value; std::getline(values, value, ',');) {
        for (OpCase each : cases) {
          each.keys[word.substr(0, equals)] = value;
          next.push_back(std::move(each));
        }
      }
      cases = std::move(next);
    }
    for (const OpCase& c : cases) {
      const std::optional<Format> weights = format_from_name(c.word("w", "f32"));
      if (!weights) return error(Code::corrupt, "%s:%d: no format %s", path.c_str(), number, c.word("w", "f32").c_str());
      const uint32_t k = c.number("K", 64), block = info(*weights).block_elements;
      if (k % block != 0)
        return error(Code::corrupt, "%s:%d: K = %u is not a multiple of %s's %u", path.c_str(), number, k, name(*weights), block);
    }
    all.insert(all.end(), cases.begin(), cases.end());
  }
  return all;
}

namespace {

constexpr uint32_t kMaxRows = 64;

// Builds the program of a case and its data as it goes.
class Maker {
 public:
  Maker(const OpCase& c, bool magnitudes) : c_(c), magnitudes_(magnitudes), random_(static_cast<uint32_t>(hash64(c.text()))) {
    b_.rows = c.number("T", 1);
    p_.program.pool = c.number("pool", 1);
    b_.history = c.op == "attention" ? c.number("S", b_.rows) - b_.rows : 0;
  }

  Built make() {
    const uint32_t k = c_.number("K", 64), n = c_.number("N", 32);
    const uint32_t heads = c_.number("H", 1), kv_heads = c_.number("G", 1), d = c_.number("D", 64);
    const bool bias = c_.yes("bias");
    const std::string op = c_.op;
    if (op == "linear") {
      b_.result = p_.linear(input(k), matrix(n, k), vector(n, bias));
    } else if (op == "norm_linear") {
      b_.result = p_.norm_linear(input(k), vector(k), 1e-5f, matrix(n, k), vector(n, bias));
    } else if (op == "linear_residual") {
      const Value residual = input(n);
      b_.result = p_.linear_residual(input(k), matrix(n, k), residual, vector(n, bias));
    } else if (op == "linear_norm_add") {
      const Value residual = input(n);
      b_.result = p_.linear_norm_add(input(k), matrix(n, k), vector(n), 1e-5f, residual);
    } else if (op == "norm_gate_up") {
      b_.result = p_.norm_gate_up(input(k), vector(k), 1e-5f, matrix(n, k), matrix(n, k), activation());
    } else if (op == "select_norm_head") {
      b_.result = p_.select_norm_head(input(k), vector(k), 1e-5f, matrix(n, k));
    } else if (op == "norm_qkv_rope") {
      cache(kv_heads, d, 0);
      const bool normed = c_.word("heads", "plain") == "normed";
      NormQkvRope o{.x = input(k),
                    .out = {},
                    .gain = vector(k),
                    .eps = 1e-5f,
                    .wq = matrix(heads * d, k),
                    .wk = matrix(kv_heads * d, k),
                    .wv = matrix(kv_heads * d, k),
                    .bq = vector(heads * d, bias),
                    .bk = vector(kv_heads * d, bias),
                    .bv = vector(kv_heads * d, bias),
                    .q_gain = vector(d, normed),
                    .k_gain = vector(d, normed),
                    .heads = heads,
                    .kv_heads = kv_heads,
                    .head_size = d,
                    .rope = rope(d),
                    .cache = {0, 0}};
      const Value q = p_.norm_qkv_rope(o);  // what went into the cache is seen through attention over it
      b_.result = p_.attention({.q = q,
                                .out = {},
                                .cache = {0, 0},
                                .heads = heads,
                                .kv_heads = kv_heads,
                                .head_size = d,
                                .scale = 1.0f / std::sqrt(static_cast<float>(d)),
                                .window = 0,
                                .cap = 0,
                                .sinks = {}});
    } else if (op == "attention") {
      const uint32_t window = c_.number("window", 0);
      cache(kv_heads, d, window);
      if (const std::string spans = c_.word("spans", "none"); spans != "none") b_.fill = see_each_other(spans);
      p_.kv_write(input(kv_heads * d), input(kv_heads * d), {0, 0}, kv_heads, d);
      b_.result = p_.attention({.q = input(heads * d),
                                .out = {},
                                .cache = {0, 0},
                                .heads = heads,
                                .kv_heads = kv_heads,
                                .head_size = d,
                                .scale = 1.0f / std::sqrt(static_cast<float>(d)),
                                .window = window,
                                .cap = 0,
                                .sinks = vector(heads, c_.yes("sinks"))});
    } else if (op == "norm") {
      const uint32_t parts = c_.number("parts", 1);
      const bool layer = c_.word("kind", "rms") == "layer";
      b_.result = p_.norm(input(k), vector(k / parts), 1e-5f, parts, layer ? NormKind::layer : NormKind::rms, vector(k / parts, layer));
    } else if (op == "norm_add") {
      const Value residual = input(k);
      b_.result = p_.norm_add(input(k), vector(k), 1e-5f, residual);
    } else if (op == "patchify") {
      patchify(c_.number("size", 14));
    } else if (op == "dense_attention") {
      dense_attention(heads, d);
    } else if (op == "pool") {
      const bool mean = c_.word("kind", "mean") == "mean";
      b_.result = p_.pool(rows(k), mean ? PoolKind::mean : PoolKind::concatenate);
    } else if (op == "rope") {
      if (c_.yes("sections")) b_.fill = grid_positions;
      b_.result = p_.rope(input(heads * d), heads, d, rope(d));
    } else if (op == "gather_rows") {
      gather(k);
    } else if (op == "activate") {
      const Value gate = input(k);
      b_.result = p_.activate(gate, c_.yes("gated") ? input(k) : Value{}, activation());
    } else if (op == "add") {
      const Value a = input(k);
      b_.result = p_.add(a, input(k));
    } else if (op == "select_rows") {
      b_.result = p_.select_rows(input(k));
    } else if (op == "sample") {
      b_.result = p_.sample(input(k));
      draw(c_.word("draw", "highest"), c_.number("levels", 0));
    }
    p_.program.logits = b_.result;
    if (p_.program.kv_groups.empty()) p_.program.kv_groups.push_back({1, 64, 0, 1});
    b_.program = std::move(p_.program);

    for (uint32_t r = 0; r < b_.rows; r += 2) b_.output_rows.push_back(r);
    RunConfig& config = b_.config;
    const std::string act = c_.word("act", "q8");
    config.activations = act == "q8" ? ActivationFormat::q8 : act == "f16" ? ActivationFormat::f16 : ActivationFormat::f32;
    const std::string kv = c_.word("kv", "f16");
    config.kv = kv == "f32" ? KvFormat::f32 : kv == "q8" ? KvFormat::q8 : kv == "q4" ? KvFormat::q4 : KvFormat::f16;
    config.rows = std::max(b_.rows, kMaxRows);
    config.outputs = config.rows;
    const auto pages = static_cast<uint32_t>(ceil_div(b_.history + b_.rows, kKvPageTokens));
    config.limits = {config.rows, config.outputs, 2, 1, pages, 2, feature_rows_, static_cast<uint32_t>(b_.pixels.size())};
    config.kv_pages = {2 * pages + 3};
    return std::move(b_);
  }

 private:
  float normal() { return std::normal_distribution<float>()(random_); }

  WeightId add(uint32_t n, uint32_t k, Format format, float scale) {
    std::vector<float> values(size_t{n} * k);
    for (float& v : values) v = normal() * scale;
    std::vector<std::byte> bytes(n * row_bytes(format, k));
    quantize_row(format, values.data(), bytes.data(), values.size());
    if (magnitudes_) {  // the magnitude of what the format made of the values
      dequantize_row(format, bytes.data(), values.data(), values.size());
      for (float& v : values) v = std::fabs(v);
      format = Format::f32;
      bytes.resize(values.size() * sizeof(float));
      std::memcpy(bytes.data(), values.data(), bytes.size());
    }
    b_.weights.push_back(std::move(bytes));
    return p_.weight({"w" + std::to_string(b_.weights.size()), format, n, k});
  }
  // [T width], a row of its own for each token of history and step.
  Value rows(uint32_t width) { return p_.gather_rows(add(4 * kMaxRows, width, Format::f32, 1.0f), 1.0f); }
  // The same, or with pool=N [U width], made of N rows.
  Value input(uint32_t width) { return p_.program.pool == 1 ? rows(width) : p_.pool(rows(width / p_.program.pool), PoolKind::concatenate); }

  // draw=all or =top_k, every row with a random number of its own; levels=N rounds logits to multiples of 1 / N, so that many are equal.
  void draw(const std::string& which, uint32_t levels) {
    std::vector<float> table(b_.weights.back().size() / sizeof(float));
    std::memcpy(table.data(), b_.weights.back().data(), b_.weights.back().size());
    for (float& v : table) v = levels == 0 ? v : std::round(v * static_cast<float>(levels)) / static_cast<float>(levels);
    std::memcpy(b_.weights.back().data(), table.data(), b_.weights.back().size());
    if (which == "highest") return;
    const uint64_t seed = hash64(c_.text());
    const uint32_t top_k = which == "all" ? 0 : c_.number("draw", 0);
    b_.fill = [seed, top_k](const StepParams& p, uint32_t, uint32_t rows) {
      for (uint32_t o = 0; o < rows; ++o) {
        const uint64_t random = hash64(std::string_view(reinterpret_cast<const char*>(&o), sizeof o), seed);
        p.draws()[o] = {draw_scale(0.7f), top_k, static_cast<uint32_t>(random), static_cast<uint32_t>(random >> 32)};
      }
    };
  }

  // Positions of patches in a grid, as M-RoPE and two-dimensional position tables have them; a class token before them has none.
  static void grid_positions(const StepParams& p, uint32_t at, uint32_t rows) {
    for (uint32_t r = 0; r < rows; ++r) {
      const int32_t numbers[] = {static_cast<int32_t>(at + r) - 1, static_cast<int32_t>((at + r) / 5), static_cast<int32_t>((at + r) % 5)};
      std::copy(std::begin(numbers), std::end(numbers), p.positions() + size_t{3} * r);
    }
  }

  // Rows by another number than the token, or tokens mixed with feature rows, one of them past what there is, or with what a step before drew.
  void gather(uint32_t k) {
    const std::string index = c_.word("index", "token");
    const auto by = index == "position0"   ? RowIndex::position0
                    : index == "position1" ? RowIndex::position1
                    : index == "position2" ? RowIndex::position2
                                           : RowIndex::token;
    b_.result = p_.gather_rows(matrix(4 * kMaxRows, k), c_.yes("scale") ? 1.7f : 1.0f, by, c_.yes("features"));
    if (by != RowIndex::token) b_.fill = grid_positions;
    if (c_.yes("fed")) {
      b_.fill = [](const StepParams& p, uint32_t, uint32_t rows) {
        for (uint32_t r = 0; r < rows; r += 2) p.tokens()[r] = kFedToken + static_cast<int32_t>(r * 7 % p.limits().outputs);
      };
    }
    if (!c_.yes("negative")) return;
    constexpr uint32_t kFeatureRows = 9;
    feature_rows_ = kFeatureRows;
    b_.features.resize(size_t{kFeatureRows} * k);
    for (float& f : b_.features) f = normal();
    b_.fill = [](const StepParams& p, uint32_t, uint32_t rows) {
      for (uint32_t r = 1; r < rows; r += 2) p.tokens()[r] = -1 - static_cast<int32_t>(r * 5 % (kFeatureRows + 1));
    };
  }

  // Patches of a picture four patches wide, in lines with bytes of no patch behind them; every fifth row has no patch.
  void patchify(uint32_t size) {
    b_.result = p_.patchify({.out = {}, .size = size, .mean = {0.48f, 0.46f, 0.41f}, .deviation = {0.27f, 0.26f, 0.28f}});
    const uint32_t stride = 3 * size * 4 + 7, lines = size * ((b_.rows + 3) / 4);
    b_.pixels.resize(size_t{stride} * lines);
    for (std::byte& each : b_.pixels) each = static_cast<std::byte>(random_());
    b_.fill = [=](const StepParams& p, uint32_t, uint32_t rows) {
      p.header().pixel_stride = stride;
      for (uint32_t r = 0; r < rows; ++r) p.row_pixel()[r] = r % 5 == 4 ? kNoPixel : r / 4 * size * stride + r % 4 * size * 3;
    };
  }

  // Segmentation 0: all rows one range, 1: ranges of these lengths in turn, cut at the last row.
  void dense_attention(uint32_t heads, uint32_t d) {
    const bool whole = c_.word("ranges", "whole") == "whole";
    const Value q = rows(heads * d), k = rows(heads * d);
    b_.result = p_.dense_attention({.q = q,
                                    .k = k,
                                    .v = rows(heads * d),
                                    .out = {},
                                    .heads = heads,
                                    .head_size = d,
                                    .scale = 1.0f / std::sqrt(static_cast<float>(d)),
                                    .segmentation = whole ? 0u : 1u});
    b_.fill = [](const StepParams& p, uint32_t, uint32_t rows) {
      constexpr uint32_t kLengths[] = {16, 64, 1, 33, 7, 130};
      for (uint32_t first = 0, i = 0; first < rows; ++i) {
        const uint32_t end = std::min(rows, first + kLengths[i % 6]);
        for (uint32_t r = first; r < end; ++r) {
          p.row_range(0)[2 * r] = 0;
          p.row_range(0)[2 * r + 1] = rows;
          p.row_range(1)[2 * r] = first;
          p.row_range(1)[2 * r + 1] = end;
        }
        first = end;
      }
    };
  }

  // all: the step's rows see each other; some: two spans with plain rows before, between and behind. History stands alone.
  std::function<void(const StepParams&, uint32_t, uint32_t)> see_each_other(const std::string& which) const {
    return [which, history = b_.history](const StepParams& p, uint32_t at, uint32_t rows) {
      if (at != history) return;
      const auto span = [&](uint32_t first, uint32_t end) {
        for (uint32_t r = first; r < end; ++r) p.row_span()[2 * r] = at + first, p.row_span()[2 * r + 1] = at + end;
      };
      if (which == "all") return span(0, rows);
      span(1, rows / 3);
      span(rows / 3 + 1, rows - 1);
    };
  }

  WeightId matrix(uint32_t n, uint32_t k) {
    return add(n, k, *format_from_name(c_.word("w", "f32")), 1.0f / std::sqrt(static_cast<float>(k)));
  }
  WeightId vector(uint32_t k, bool present = true) { return present ? add(1, k, Format::f32, 1.0f) : WeightId{}; }
  Activation activation() const {
    const std::string a = c_.word("activation", "silu");
    return a == "gelu_tanh"    ? Activation::gelu_tanh
           : a == "gelu_erf"   ? Activation::gelu_erf
           : a == "gelu_quick" ? Activation::gelu_quick
           : a == "none"       ? Activation::none
                               : Activation::silu;
  }
  RopeSpec rope(uint32_t d) const {
    RopeSpec r;
    const std::string style = c_.word("rope", "neighbours");
    r.enabled = style != "none";
    r.style = style == "halves" ? RopeStyle::halves : RopeStyle::neighbours;
    r.dims = c_.number("dims", d);
    if (c_.yes("sections")) {  // components 1 and 2 by halves, or all three
      r.section_frequencies = c_.yes("own_frequencies");
      const uint32_t pairs = r.dims / 2, first = r.section_frequencies ? 0 : pairs / 4;
      r.sections[0] = first, r.sections[1] = (pairs - first) / 2, r.sections[2] = pairs - first - (pairs - first) / 2;
    }
    return r;
  }
  void cache(uint32_t kv_heads, uint32_t d, uint32_t window) { p_.program.kv_groups.push_back({kv_heads, d, window, 1}); }

  const OpCase& c_;
  const bool magnitudes_;
  std::mt19937 random_;
  Builder p_;
  Built b_;
  uint32_t feature_rows_ = 0;
};

constexpr size_t kGuard = 4096;

}  // namespace

Built build(const OpCase& c) { return Maker(c, false).make(); }
Built build_magnitudes(const OpCase& c) { return Maker(c, true).make(); }

Result<Run> run(Device& device, const Built& built, int repeats, std::chrono::milliseconds timeout) {
  KL_ASSIGN(const Plan plan, make_plan(built.program, device, built.config));
  KL_ASSIGN(std::unique_ptr<Memory> arena, device.allocate(plan.arena_bytes + kGuard, MemoryUse::arena));
  const auto fill = [&](Memory& memory, std::byte with) {
    return write_memory(device, memory, 0, std::vector<std::byte>(memory.bytes(), with));
  };
  KL_TRY(fill(*arena, std::byte{0x7f}));  // never zeros: 0x7f7f7f7f is a huge float
  KL_ASSIGN(std::unique_ptr<Memory> step, device.allocate(StepParams::bytes(built.config.limits), MemoryUse::step_params));
  const KvGroupInfo& group = built.program.kv_groups[0];
  const uint64_t pool_bytes = device.kv_page_bytes(group, built.config.kv) * built.config.kv_pages[0];
  KL_ASSIGN(std::unique_ptr<Memory> pool, device.allocate(pool_bytes, MemoryUse::kv));
  KL_TRY(fill(*pool, std::byte{0xff}));  // NaN in every format: unwritten slots must not matter

  KL_ASSIGN(std::unique_ptr<Memory> pixels, device.allocate(built.pixels.size(), MemoryUse::pixels));
  KL_TRY(write_memory(device, *pixels, 0, std::as_bytes(std::span(built.pixels))));
  KL_ASSIGN(std::unique_ptr<Memory> features, device.allocate(built.features.size() * sizeof(float), MemoryUse::features));
  KL_TRY(write_memory(device, *features, 0, std::as_bytes(std::span(built.features))));

  // What a step before drew: -1 where it could not.
  KL_ASSIGN(std::unique_ptr<Memory> fed, device.allocate(built.config.limits.outputs * sizeof(int32_t), MemoryUse::drawn));
  auto* const fed_tokens = reinterpret_cast<int32_t*>(fed->host());
  for (uint32_t o = 0; o < built.config.limits.outputs; ++o)
    fed_tokens[o] = o % 5 == 3 ? -1 : static_cast<int32_t>((o * 11 + 2) % (4 * kMaxRows));

  std::vector<std::pair<WeightUse, std::unique_ptr<Memory>>> packed;
  for (const WeightUse& use : plan.weights) {
    const WeightInfo& w = built.program.info(use.weight);
    const uint64_t bytes = device.packed_bytes(w, use.layout);
    if (bytes == 0) continue;
    KL_ASSIGN(std::unique_ptr<Memory> memory, device.allocate(bytes, MemoryUse::weights));
    std::vector<std::byte> bytes_packed(bytes);
    KL_TRY(device.pack({w, use.layout, built.weights[use.weight.id], bytes_packed}));
    KL_TRY(write_memory(device, *memory, 0, bytes_packed));
    packed.emplace_back(use, std::move(memory));
  }
  Bindings bindings;
  bindings.arena = arena.get();
  bindings.step_params = step.get();
  bindings.kv = {pool.get()};
  bindings.pixels = pixels.get();
  bindings.features = features.get();
  bindings.fed = fed.get();
  bindings.weight = [&](const WeightUse& use) -> WeightAddress {
    for (const auto& [each, memory] : packed) {
      if (each == use) return {memory.get(), 0};
    }
    return built.weights[use.weight.id].data();
  };
  KL_ASSIGN(std::unique_ptr<Recording> recording, device.record(plan, bindings));

  Run out;
  for (const PlannedOp& op : plan.ops) {
    const bool input = std::strcmp(name(op.op), "gather_rows") == 0 ||
                       (std::strcmp(name(op.op), "pool") == 0 && op.op.index() != plan.ops.back().op.index());  // pool=N makes inputs
    if (!input || plan.ops.size() == 1) {
      out.kernel = op.support.kernel;
      break;
    }
  }
  out.report = support_text(plan);

  const StepParams p(step->host(), built.config.limits);
  const uint32_t total = built.history + built.rows, pages = built.config.limits.pages;
  for (uint32_t i = 0; i < pages; ++i) p.block_table(0, 0)[i] = 2 * (pages - 1 - i) + 1;  // scattered, descending
  for (uint32_t at = 0; at < total;) {
    const bool last = at == built.history;
    const uint32_t rows = last ? built.rows : std::min({kMaxRows, built.config.rows, built.history - at});
    for (uint32_t r = 0; r < rows; ++r) {
      p.tokens()[r] = static_cast<int32_t>((at + r) * 7 % (4 * kMaxRows));
      for (int i = 0; i < 3; ++i) p.positions()[3 * r + static_cast<uint32_t>(i)] = static_cast<int32_t>(at + r);
      p.row_sequence()[r] = 0;
      p.row_slot()[r] = static_cast<int32_t>(at + r);
      p.row_span()[2 * r] = at + r;
      p.row_span()[2 * r + 1] = at + r + 1;
    }
    const auto outputs = static_cast<uint32_t>(last ? built.output_rows.size() : 0);
    std::copy_n(built.output_rows.begin(), outputs, p.output_rows());
    std::fill_n(p.draws(), built.config.limits.outputs, DrawSettings{});  // a case may draw from rows of the step
    p.sequences()[0] = {0, rows, at, 0};
    p.header() = {rows, outputs, 1, 0};
    if (built.fill) built.fill(p, at, rows);
    const auto begin = std::chrono::steady_clock::now();
    for (int i = 0; i < (last ? repeats : 1); ++i) {
      KL_ASSIGN(const Ticket ticket, device.submit(*recording, 0, recording->segments()));
      KL_TRY(device.wait(ticket, timeout));
    }
    out.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count() / repeats;
    at += rows;
  }

  const ValueInfo& info = plan.program.info(built.result);
  const size_t rows = info.rows == Rows::outputs  ? built.output_rows.size()
                      : info.rows == Rows::pooled ? built.rows / plan.program.pool
                                                  : built.rows;
  out.values.resize(rows * info.width);
  KL_TRY(read_memory(device, *arena, plan.value_offset[built.result.id], std::as_writable_bytes(std::span(out.values))));
  if (info.type == ValueType::i32) {
    for (float& v : out.values) v = static_cast<float>(std::bit_cast<int32_t>(v));
  }
  std::vector<std::byte> guard(kGuard);
  KL_TRY(read_memory(device, *arena, plan.arena_bytes, guard));
  for (const std::byte b : guard) out.guard_intact = out.guard_intact && b == std::byte{0x7f};
  return out;
}

}  // namespace kl::ops
