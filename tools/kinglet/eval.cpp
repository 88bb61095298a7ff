// kinglet eval: perplexity as llama.cpp's perplexity tool computes it, so that figures compare, and KL divergence from the logits file of that tool.
//
// The text is tokenized once (BOS as the metadata says, one line end at the end of the file dropped) and cut into chunks of `ctx` tokens. In each chunk
// the first token is replaced by BOS when the model has one, and rows ctx / 2 ... ctx - 2 are scored: row i predicts token i + 1.
//   perplexity = exp(mean of -log p);  its error = perplexity * standard error of that mean
//   KL of a row = sum over tokens with log p_base > -16 of p_base (log p_base - log p)
#include <algorithm>
#include <cmath>
#include <optional>
#include <thread>

#include "common.h"
#include "kld_file.h"

namespace tool {
namespace {

constexpr uint32_t kDefaultContext = 512;
constexpr size_t kMostRows = 256;  // with logits in one call

struct Eval {
  Common common;
  std::string file;
  uint32_t chunks = 0;  // 0: all
  std::string kl_base;
  std::string kl_save;
};

struct RowScore {
  double nll = 0;  // -log p of the token that came
  double nll_base = 0;
  double kl = 0;
  bool same_top = false;
};

double log_sum_exp(std::span<const float> logits, float best) {
  double sum = 0;
  for (const float logit : logits) sum += std::exp(logit - best);
  return best + std::log(sum);
}

RowScore score(std::span<const float> logits, int32_t next, std::span<const uint16_t> base, std::span<uint16_t> save) {
  RowScore result;
  const auto best = std::max_element(logits.begin(), logits.end());
  const double log_sum = log_sum_exp(logits, *best);
  const auto token = static_cast<size_t>(next);
  result.nll = log_sum - logits[token];
  if (!base.empty()) {
    const KldRow row = decode_row(base);
    result.nll_base = -row.log_p(token);
    uint16_t top = 0;
    size_t top_token = 0;
    for (size_t i = 0; i < logits.size(); ++i) {
      const float log_p_base = row.log_p(i);
      if (row.q[i] > top) {
        top = row.q[i];
        top_token = i;
      }
      if (log_p_base > -16.0F) result.kl += std::exp(log_p_base) * (log_p_base - (logits[i] - log_sum));
    }
    result.same_top = top_token == static_cast<size_t>(best - logits.begin());
  }
  if (!save.empty()) encode_row(logits, log_sum, save);
  return result;
}

// body(i) for i in [0, count), over the machine's cores.
template <class Body>
void in_parallel(size_t count, const Body& body) {
  const size_t workers = std::clamp<size_t>(std::thread::hardware_concurrency(), 1, 16);
  std::vector<std::thread> threads;
  for (size_t worker = 1; worker < workers; ++worker) {
    threads.emplace_back([&, worker] {
      for (size_t i = worker; i < count; i += workers) body(i);
    });
  }
  for (size_t i = 0; i < count; i += workers) body(i);
  for (std::thread& thread : threads) thread.join();
}

struct Mean {
  double value = 0;
  double error = 0;  // standard error
};

Mean mean_of(std::span<const double> values) {
  double sum = 0;
  double squares = 0;
  for (const double value : values) {
    sum += value;
    squares += value * value;
  }
  const auto count = static_cast<double>(values.size());
  Mean mean{sum / count, 0};
  const double variance = squares / count - mean.value * mean.value;
  if (variance > 0 && values.size() > 1) mean.error = std::sqrt(variance / (count - 1));
  return mean;
}

// values sorted ascending; linear between neighbours.
double percentile(std::span<const double> values, double fraction) {
  const double at = fraction * static_cast<double>(values.size() - 1);
  const auto below = static_cast<size_t>(at);
  const double part = at - static_cast<double>(below);
  return (1 - part) * values[below] + part * values[std::min(below + 1, values.size() - 1)];
}

// What is evaluated: the chunks' tokens, from the text or from the logits file.
KldHeader prepare(const Eval& options, const KldReader* base, kl_model* model, const kl_model_info& info) {
  KldHeader work;
  work.vocabulary = info.vocabulary;
  if (base != nullptr && base->header().vocabulary != info.vocabulary) {
    fail("expected the vocabulary of the model, %u, in \"%s\", it has %u", info.vocabulary, options.kl_base.c_str(),
         base->header().vocabulary);
  }
  work.context = base != nullptr ? base->header().context : options.common.ctx != 0 ? options.common.ctx : kDefaultContext;
  if (work.context < 4) fail_usage("expected --ctx of at least 4, got %u", work.context);
  if (base != nullptr && options.common.ctx != 0 && options.common.ctx != work.context) {
    fail("expected --ctx %u, with which \"%s\" was made, got %u", work.context, options.kl_base.c_str(), options.common.ctx);
  }
  std::vector<int32_t> tokens;
  if (!options.file.empty()) {
    std::string content = read_file(options.file);
    if (!content.empty() && content.back() == '\n') content.pop_back();
    tokens = tokenize(model, content, false, false);
  }
  if (base == nullptr) {
    work.tokens = std::move(tokens);
    if (work.tokens.size() < work.context) {
      fail("expected at least %u tokens in \"%s\", for one chunk, got %zu", work.context, options.file.c_str(), work.tokens.size());
    }
    work.chunks = static_cast<uint32_t>(work.tokens.size() / work.context);
  } else {
    work.tokens = base->header().tokens;
    work.chunks = base->header().chunks;
    const size_t common = std::min(tokens.size(), work.tokens.size());
    if (!std::equal(tokens.begin(), tokens.begin() + static_cast<ptrdiff_t>(common), work.tokens.begin())) {
      fail("expected the tokens of \"%s\" in \"%s\", they differ: another text, or another tokenizer", options.file.c_str(),
           options.kl_base.c_str());
    }
  }
  if (options.chunks != 0) work.chunks = std::min(work.chunks, options.chunks);
  work.tokens.resize(static_cast<size_t>(work.chunks) * work.context);
  return work;
}

class Evaluation {
 public:
  Evaluation(const Common& common, kl_model* model, const kl_model_info& info, KldHeader work)
      : common_(common),
        model_(model),
        info_(info),
        work_(std::move(work)),
        logits_(std::min(kMostRows, work_.scored_rows()) * info.vocabulary) {}

  std::vector<RowScore> run(KldReader* base, KldWriter* save) {
    std::vector<RowScore> scores;
    std::vector<uint16_t> base_rows;
    std::vector<uint16_t> save_rows(save != nullptr ? work_.scored_rows() * work_.row_words() : 0);
    Progress progress(common_, "evaluating");
    for (uint32_t chunk = 0; chunk < work_.chunks; ++chunk) {
      if (base != nullptr) base->next_chunk(base_rows);
      one_chunk(chunk, base_rows, save_rows, scores);
      if (save != nullptr) save->chunk(save_rows);
      progress.show(static_cast<double>(chunk + 1) / work_.chunks);
    }
    return scores;
  }

 private:
  void one_chunk(uint32_t chunk, std::span<const uint16_t> base, std::span<uint16_t> save, std::vector<RowScore>& scores) {
    const std::span<const int32_t> tokens = std::span(work_.tokens).subspan(static_cast<size_t>(chunk) * work_.context, work_.context);
    std::vector<int32_t> input(tokens.begin(), tokens.end());
    if (info_.adds_bos != 0) input[0] = info_.bos;
    Sequence sequence;
    check(kl_sequence_new(model_, sequence.out()));
    const size_t first = work_.context / 2;
    evaluate(sequence, std::span(input).first(first), 0);
    const size_t words = work_.row_words();
    for (size_t done = 0; done < work_.scored_rows();) {
      const size_t rows = std::min(kMostRows, work_.scored_rows() - done);
      evaluate(sequence, std::span(input).subspan(first + done, rows), rows);
      const size_t begin = scores.size();
      scores.resize(begin + rows);
      in_parallel(rows, [&](size_t row) {
        const size_t of_chunk = done + row;
        scores[begin + row] =
            score(std::span(logits_).subspan(row * info_.vocabulary, info_.vocabulary), tokens[first + of_chunk + 1],
                  base.empty() ? base : base.subspan(of_chunk * words, words), save.empty() ? save : save.subspan(of_chunk * words, words));
      });
      done += rows;
    }
  }

  void evaluate(kl_sequence* sequence, std::span<const int32_t> ids, size_t logit_rows) {
    auto item = sized<kl_evaluation>();
    item.sequence = sequence;
    item.ids = ids.data();
    item.count = ids.size();
    item.logit_rows = logit_rows;
    item.logits = logit_rows == 0 ? nullptr : logits_.data();
    check(kl_evaluate(model_, &item, 1, nullptr));
  }

  const Common& common_;
  kl_model* model_;
  kl_model_info info_;
  KldHeader work_;
  std::vector<float> logits_;
};

void report(const Eval& options, const kl_model_info& info, const KldHeader& work, const std::vector<RowScore>& scores, double seconds) {
  std::vector<double> values;
  values.reserve(scores.size());
  for (const RowScore& row : scores) values.push_back(row.nll);
  const Mean nll = mean_of(values);
  const double perplexity = std::exp(nll.value);
  Json result = {{"perplexity", perplexity},
                 {"perplexity_stderr", perplexity * nll.error},
                 {"tokens", scores.size()},
                 {"chunks", work.chunks},
                 {"ctx", work.context},
                 {"kv", info.kv},
                 {"activations", info.activations},
                 {"seconds", seconds}};
  std::string lines = text("perplexity   %.4f +/- %.5f\n", perplexity, perplexity * nll.error);
  lines += text("tokens       %zu scored, in %u chunks of %u\n", scores.size(), work.chunks, work.context);
  if (!options.kl_base.empty()) {
    double base = 0;
    size_t same_top = 0;
    values.clear();
    for (const RowScore& row : scores) {
      values.push_back(row.kl);
      base += row.nll_base;
      same_top += row.same_top ? 1 : 0;
    }
    const Mean kl = mean_of(values);
    std::sort(values.begin(), values.end());
    const double share = static_cast<double>(same_top) / static_cast<double>(scores.size());
    const double base_perplexity = std::exp(base / static_cast<double>(scores.size()));
    result.update({{"perplexity_base", base_perplexity},
                   {"kl_mean", kl.value},
                   {"kl_stderr", kl.error},
                   {"kl_p99", percentile(values, 0.99)},
                   {"kl_max", values.back()},
                   {"same_top", share}});
    lines += text("base         perplexity %.4f\n", base_perplexity);
    lines += text("KL           mean %.6f +/- %.6f, 99th percentile %.6f, maximum %.6f\n", kl.value, kl.error, percentile(values, 0.99),
                  values.back());
    lines += text("same top     %.3f %%\n", 100 * share);
  }
  if (options.common.json) {
    print_json(result);
  } else {
    print(lines);
  }
}

void run(const Eval& options) {
  options.common.need_model();
  if (options.file.empty() && options.kl_base.empty()) fail_usage("expected --file F, it was not given");
  std::optional<KldReader> base;
  if (!options.kl_base.empty()) base.emplace(options.kl_base);

  const Engine engine = open_engine(options.common, options.common.threads_or_default());
  kl_model_options load = model_options(options.common, options.common.kv_or_default());
  if (base) load.context = base->header().context;
  if (load.context == 0) load.context = kDefaultContext;
  load.max_logit_rows = static_cast<uint32_t>(std::min<size_t>(kMostRows, load.context));
  const Model model = load_model(options.common, engine, load);
  auto info = sized<kl_model_info>();
  check(kl_model_get_info(model, &info));

  KldHeader work = prepare(options, base ? &*base : nullptr, model, info);
  std::optional<KldWriter> save;
  if (!options.kl_save.empty()) save.emplace(options.kl_save, work);
  const double began = now();
  const std::vector<RowScore> scores = Evaluation(options.common, model, info, work).run(base ? &*base : nullptr, save ? &*save : nullptr);
  if (save) save->finish();
  report(options, info, work, scores, now() - began);
}

}  // namespace

void add_eval(CLI::App& app) {
  auto options = std::make_shared<Eval>();
  CLI::App* command = app.add_subcommand("eval", "perplexity of a text, and KL divergence from another engine's logits");
  options->common.add_to(*command);
  command->add_option("--file", options->file, "the text");
  command->add_option("--chunks", options->chunks, "at most so many chunks of --ctx (default 512) tokens; 0: all");
  command->add_option("--kl-base", options->kl_base, "compare with a logits file of llama.cpp's perplexity tool, or of --kl-save");
  command->add_option("--kl-save", options->kl_save, "write such a file");
  command->callback([options] { run(*options); });
}

}  // namespace tool
