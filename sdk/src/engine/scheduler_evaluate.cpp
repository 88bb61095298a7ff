// Evaluation without sampling: the caller's thread asks for step after step, so that generations' steps run between them.
#include <algorithm>
#include <cstring>

#include "engine/scheduler.h"

namespace kl {

struct Scheduler::Evaluation {
  struct Item {
    EvaluationItem given;
    Content append{};                      // to be computed: what is given, behind what a lost device took
    std::optional<Content> held_before{};  // the latter: what the cache held, and holds again if this fails
    Content whole{};                       // what the cache is to hold in the end
    size_t done = 0;                       // slots computed
    std::optional<SequenceId> before{};    // a fork of the sequence as it was
    size_t length_before = 0;
    bool held = false;               // in_use is ours
    uint32_t rows = 0, outputs = 0;  // of the current step
    size_t left() const { return append.size() - done; }
    // Rows that ask for logits among the next `n`.
    size_t outputs_of(size_t n) const {
      const size_t silent = append.size() - given.logit_rows;
      return done + n > silent ? done + n - std::max(silent, done) : 0;
    }
  };
  std::vector<Item> items;
  EvaluationStats stats;
  std::optional<uint64_t> device;  // its number, once this has begun on it
  bool finished() const {
    return std::all_of(items.begin(), items.end(), [](const Item& i) { return i.left() == 0; });
  }
};

Result<EvaluationStats> Scheduler::evaluate(const std::vector<EvaluationItem>& items) {
  for (;;) {
    Evaluation evaluation;
    evaluation.items.reserve(items.size());
    for (const EvaluationItem& item : items) evaluation.items.push_back({.given = item});
    Status status = on_thread(Needs::device, [&](Device&) { return begin_evaluation(evaluation); });
    while (status.ok() && !evaluation.finished()) status = on_thread(Needs::device, [&](Device&) { return evaluate_step(evaluation); });
    bool lost = false;  // and another device may go on: from the start, for all or nothing is promised
    const Status ended = on_thread(Needs::nothing, [&](Device&) -> Status {
      lost =
          status.code() == Code::device_lost && lost_.ok() && (!loss_.ok() || (evaluation.device && *evaluation.device != device_number_));
      end_evaluation(evaluation, status.ok());
      return {};
    });
    if (ended.ok() && lost) continue;
    KL_TRY(status);
    KL_TRY(ended);
    return evaluation.stats;
  }
}

Status Scheduler::begin_evaluation(Evaluation& evaluation) {
  const ModelSlot& model = *evaluation.items[0].given.cache->model;
  if (put_in_place(evaluation.items[0].given.cache->model) != Placed::yes) {
    if (interrupted()) return error(Code::busy, "the engine is suspended");
    return error(Code::device_lost, "the model's device was lost, and the model cannot go on on the %s backend",
                 device_->info().backend.c_str());
  }
  evaluation.device = device_number_;
  const RunnerOptions& limits = model.runner->options();
  size_t rows = 0, outputs = 0;
  for (Evaluation::Item& item : evaluation.items) {
    CacheSlot& cache = *item.given.cache;
    if (cache.in_use) return error(Code::busy, "the sequence is in another call");
    cache.in_use = item.held = true;
    if (item.given.content.size() > model.context - cache.content.size()) {
      return error(Code::context_full, "the sequence holds %zu tokens of at most %u and cannot take %zu more", cache.content.size(),
                   model.context, item.given.content.size());
    }
    register_cache(item.given.cache);
    if (!cache.sequence && !cache.content.empty()) {
      item.append = cache.content;
      item.held_before = cache.content;
    }
    item.append.append(item.given.content);
    if (!cache.sequence) {
      cache.sequence = model.runner->cache().create_sequence(model.context);
      cache.content.clear();
    }
    item.whole = cache.content;
    item.whole.append(item.append);
    KL_TRY(check_blocks(item.whole, model.images, limits.max_rows));
    cache.content.reserve_for(item.whole, item.whole.size());
    item.length_before = cache.content.size();
    rows += item.left();
    outputs += item.given.logit_rows;
  }
  if (rows <= limits.max_rows && outputs <= limits.max_outputs && evaluation.items.size() <= limits.max_sequences) return {};
  for (Evaluation::Item& item : evaluation.items) {  // several steps: a later one may fail, and then all go back
    KL_ASSIGN(item.before, model.runner->cache().fork(*item.given.cache->sequence));
  }
  return {};
}

Status Scheduler::evaluate_step(Evaluation& evaluation) {
  if (*evaluation.device != device_number_) return Status(Code::device_lost, {});  // in a step of others
  ModelRunner& runner = *evaluation.items[0].given.cache->model->runner;
  const RunnerOptions& limits = runner.options();
  const size_t vocabulary = evaluation.items[0].given.cache->model->vocabulary_size;
  std::vector<Evaluation::Item*> chosen;
  for (Evaluation::Item& item : evaluation.items) {
    item.rows = item.outputs = 0;
    if (item.left() > 0 && chosen.size() < limits.max_sequences) chosen.push_back(&item);
  }
  // Rows that must stay whole have a step to themselves; others stop in front of them.
  const ImageRules& images = evaluation.items[0].given.cache->model->images;
  std::vector<size_t> may(chosen.size());  // [chosen] rows, at most
  bool alone = false;
  for (size_t i = 0; i < chosen.size(); ++i) {
    const Evaluation::Item& item = *chosen[i];
    const auto whole = whole_rows(item.whole, item.given.cache->content.size(), images);
    if (!whole.empty() && whole[0].first == 0) {
      chosen = {chosen[i]};
      may = {whole[0].end};
      alone = true;
      break;
    }
    may[i] = whole.empty() ? item.left() : whole[0].first;
  }
  // Equal parts, then what is left over to whoever can use it.
  size_t rows = limits.max_rows, outputs = limits.max_outputs;
  for (bool changed = true; changed;) {
    changed = false;
    const size_t part = std::max<size_t>(rows / chosen.size(), 1), output_part = std::max<size_t>(outputs / chosen.size(), 1);
    for (size_t i = 0; i < chosen.size(); ++i) {
      Evaluation::Item* const item = chosen[i];
      size_t n = std::min({may[i] - item->rows, part, rows});
      const size_t allowed = std::min(outputs, output_part);
      const auto more = [&](size_t count) { return item->outputs_of(item->rows + count) - item->outputs; };
      if (more(n) > allowed) n -= more(n) - allowed;
      if (n == 0) continue;
      const size_t with_logits = more(n);
      item->rows += static_cast<uint32_t>(n);
      item->outputs += static_cast<uint32_t>(with_logits);
      rows -= n;
      outputs -= with_logits;
      changed = true;
    }
  }
  if (alone && chosen[0]->rows < may[0]) {
    return error(Code::invalid_argument,
                 "logits of more than %u of an image's %zu rows are asked for, which must be in one step: load the model with a larger "
                 "max_logit_rows",
                 limits.max_outputs, may[0]);
  }
  StepBatch step;
  KvCache& kv = runner.cache();
  struct Reserved {  // rolled back unless committed
    KvCache& kv;
    std::vector<SequenceId> sequences;
    ~Reserved() {
      for (const SequenceId id : sequences) (void)kv.roll_back(id);
    }
  } reserved{kv, {}};
  reserved.sequences.reserve(chosen.size());
  std::vector<StepRows> more;  // what step.sequences view
  more.reserve(chosen.size());
  uint64_t cached = 0;
  uint32_t total_rows = 0, total_outputs = 0;
  for (const Evaluation::Item* item : chosen) {
    if (item->rows == 0) continue;
    CacheSlot& cache = *item->given.cache;
    KL_ASSIGN(const auto copies, reserve_evicting(cache, item->rows));
    reserved.sequences.push_back(*cache.sequence);
    step.copies.insert(step.copies.end(), copies.begin(), copies.end());
    const StepRows& own = more.emplace_back(item->whole.rows(cache.content.size(), item->rows, images));
    step.sequences.push_back({*cache.sequence, item->append.tokens().subspan(item->done, item->rows),
                              static_cast<uint32_t>(cache.content.size()), item->outputs, own.positions, own.spans, own.features});
    cached += cache.content.size();
    total_rows += item->rows;
    total_outputs += item->outputs;
  }
  step.cancelled = [&] { return interrupted(); };
  const ModelRunner::Cost cost = runner.cost(total_rows, total_outputs, cached);
  const Clock::time_point began = Clock::now();
  const Result<StepResult> result = runner.run(step);
  const Status status = result.status();
  const double seconds = result.ok() ? result->seconds : seconds_between(began, Clock::now());
  ++step_number_;
  trace_.add({evaluation.items[0].given.cache->model->id, seconds_between(opened_at_, began), seconds, total_rows, total_rows,
              static_cast<uint32_t>(step.sequences.size()), cost.bytes, cost.macs, status.code()});
  if (status.code() == Code::cancelled && suspend_asked_.load()) return {};  // rolled back; tried again, which then says busy
  if (status.code() == Code::device_lost) device_lost(status);
  KL_TRY(status);
  {
    const std::lock_guard lock(mutex_);
    ++stats_.steps;
    stats_.device_s += seconds;
    stats_.prompt_rows += total_rows;
    stats_.bytes_read += cost.bytes;
    stats_.macs += cost.macs;
  }
  reserved.sequences.clear();
  const float* logits = result->logits.data();
  for (Evaluation::Item* item : chosen) {
    if (item->rows == 0) continue;
    CacheSlot& cache = *item->given.cache;
    KL_TRY(kv.commit(*cache.sequence, item->rows));
    cache.content.follow(item->whole, item->rows);
    cache.last_used = step_number_;
    const size_t first_output = item->given.logit_rows - item->outputs_of(item->left());
    if (item->outputs > 0) std::memcpy(item->given.logits + first_output * vocabulary, logits, sizeof(float) * vocabulary * item->outputs);
    logits += vocabulary * item->outputs;
    item->done += item->rows;
  }
  ++evaluation.stats.steps;
  evaluation.stats.device_s += seconds;
  evaluation.stats.bytes += cost.bytes;
  evaluation.stats.macs += cost.macs;
  return {};
}

void Scheduler::end_evaluation(Evaluation& evaluation, bool keep) noexcept {
  for (Evaluation::Item& item : evaluation.items) {
    if (!item.held) continue;
    CacheSlot& cache = *item.given.cache;
    cache.in_use = false;
    if (!evaluation.device || *evaluation.device != device_number_) {  // nothing is left of it there
      if (!keep) cache.content.resize(std::min(cache.content.size(), item.length_before));
      if (!keep && item.held_before) std::swap(cache.content, *item.held_before);
      continue;
    }
    KvCache& kv = cache.model->runner->cache();
    if (item.held_before && !keep) {
      drop_cache(cache);
      std::swap(cache.content, *item.held_before);
      if (item.before) drop_sequence(kv, *item.before);
    } else if (item.before) {
      if (!keep) {
        std::swap(*cache.sequence, *item.before);
        cache.content.resize(std::min(cache.content.size(), item.length_before));
      }
      drop_sequence(kv, *item.before);
    } else if (!keep && item.done > 0) {
      drop_cache(cache);  // only after a failed commit: what the cache holds is not known
    }
  }
}

}  // namespace kl
