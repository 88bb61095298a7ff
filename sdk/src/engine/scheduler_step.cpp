// One step: choose, reserve, run, commit or roll back, sample, deliver.
#include <algorithm>
#include <new>

#include "engine/scheduler_batch.h"

namespace kl {

// A step, or a slice of an image's encoding.
bool Scheduler::work() {
  if (!lost_.ok()) return false;
  find_runnable();
  Image* const image = next_encode();
  if (image && put_in_place(image->slot()) != Placed::yes) return true;  // it has ended, or the next turn sees to it
  const bool text = !runnable_.empty();
  switch (choose_work(text, image != nullptr, image && image->unsliced(), debt_)) {
    case Work::nothing:
      return false;
    case Work::text: {
      const double seconds = step();
      debt_ = image ? after_text(debt_, seconds) : EncodeDebt{};
      return true;
    }
    case Work::encode:
      break;
  }
  const bool unsliced = image != nullptr && image->unsliced();  // (there is one: the analyzer does not know choose_work)
  const double seconds = encode_slice();
  if (text && !unsliced) debt_ = after_encode(debt_, seconds);
  return true;
}

// The jobs that could be part of a step now.
void Scheduler::find_runnable() {
  runnable_.clear();
  runnable_jobs_.clear();
  whole_rows_.resize(std::max(whole_rows_.size(), jobs_.size()));
  const Clock::time_point now = Clock::now();
  for (uint32_t i = 0; i < jobs_.size(); ++i) {
    Job& job = *jobs_[i];
    if (job.done || !job.admitted) continue;
    const bool stalled = !job.generation->has_room();
    if (stalled && !job.stalled) job.stalled_since = now;
    if (!stalled && job.stalled) {
      job.generation->update_stats([&](GenerationStats& s) { s.stalled_s += seconds_between(job.stalled_since, now); });
    }
    job.stalled = stalled;
    if (stalled) continue;
    const auto model = std::find(models_.begin(), models_.end(), job.cache->model);
    whole_rows_[i] = whole_rows(job.content, job.cache->content.size(), (*model)->images);
    runnable_.push_back({static_cast<uint32_t>(model - models_.begin()), job.pending(), job.decoding(), job.alone, whole_rows_[i]});
    runnable_jobs_.push_back(i);
  }
}

double Scheduler::step() {
  std::vector<PolicyModel> models(models_.size());
  for (size_t i = 0; i < models_.size(); ++i) {
    if (!models_[i]->runner) continue;  // a projector alone: nothing of it is runnable
    const RunnerOptions& o = models_[i]->runner->options();
    models[i] = {o.max_rows, o.max_outputs, o.max_sequences, models_[i]->next_job};
  }
  StepChoice choice = choose_step(models, runnable_, next_model_);
  if (choice.slices.empty()) return 0;
  next_model_ = choice.next_model;
  models_[choice.model]->next_job = choice.next_job;
  for (StepSlice& slice : choice.slices) slice.job = runnable_jobs_[slice.job];
  const Clock::time_point began = Clock::now();
  run_choice(choice);
  return seconds_between(began, Clock::now());
}

// Pages for the job's rows: from idle sessions, then from the latest arrival. False: the job is not part of this step.
bool Scheduler::reserve_for(Job& job, uint32_t rows, Batch& batch) {
  CacheSlot& cache = *job.cache;
  batch.rows.reserve(batch.rows.size() + 1);
  cache.content.reserve_for(job.content, cache.content.size() + rows);
  for (;;) {
    const auto copies = reserve_evicting(cache, rows);
    if (copies.ok()) {
      batch.rows.push_back({&job, rows, job.decoding(), rows == job.pending()});
      batch.step.copies.insert(batch.step.copies.end(), copies->begin(), copies->end());
      return true;
    }
    if (copies.status().code() != Code::out_of_memory && copies.status().code() != Code::context_full) {
      end_job(job, Event::fail(copies.status()));
      return false;
    }
    Job* latest = nullptr;  // that has pages of this model and no part in this step yet
    bool others = false;
    for (const auto& other : jobs_) {
      if (other.get() == &job || !other->admitted || other->cache->model != cache.model) continue;
      others = true;
      if (!batch.holds(other.get())) latest = other.get();
    }
    const bool is_later = latest && std::find_if(jobs_.begin(), jobs_.end(), [&](const auto& j) {
                                      return j.get() == &job || j.get() == latest;
                                    })->get() == &job;
    if (copies.status().code() == Code::out_of_memory && is_later) {
      preempt(*latest);
    } else if (copies.status().code() == Code::out_of_memory && others) {
      preempt(job);
      return false;
    } else {
      end_job(job, job.generated > 0 ? Event::finish(FinishReason::context_full)
                                     : Event::fail(Status(Code::context_full, copies.status().message())));
      return false;
    }
  }
}

void Scheduler::run_choice(const StepChoice& choice) {
  const std::shared_ptr<ModelSlot> model = models_[choice.model];
  ModelRunner& runner = *model->runner;
  auto owned = std::make_unique<Batch>(runner.cache());
  Batch& batch = *owned;
  Status status;
  Clock::time_point began = Clock::now();
  try {
    uint64_t cached = 0;
    uint32_t rows = 0, outputs = 0;
    bool logits = false;
    for (const StepSlice& slice : choice.slices) {
      Job& job = *jobs_[slice.job];
      if (job.done || !job.admitted) continue;  // preempted for an earlier one of this step
      if (!reserve_for(job, slice.rows, batch)) continue;
    }
    if (batch.rows.empty()) return;
    batch.more.reserve(batch.rows.size());
    batch.draws.reserve(batch.rows.size());
    for (const Batch::Row& row : batch.rows) {
      const Job& job = *row.job;
      const auto length = static_cast<uint32_t>(job.cache->content.size());
      const StepRows& more = batch.more.emplace_back(job.content.rows(length, row.rows, model->images));
      std::span<const DrawSettings> draw;
      if (row.outputs && draws_on_device(job)) draw = {&batch.draws.emplace_back(draw_settings(job.sampling, job.content.size())), 1};
      if (row.outputs && draw.empty()) logits = true;
      batch.step.sequences.push_back({*job.cache->sequence, job.content.tokens().subspan(length, row.rows), length, row.outputs ? 1u : 0u,
                                      more.positions, more.spans, more.features, draw});
      cached += length;
      rows += row.rows;
      outputs += row.outputs ? 1 : 0;
    }
    batch.step.logits = logits;
    batch.step.cancelled = [&] {
      return interrupted() || std::any_of(batch.rows.begin(), batch.rows.end(),
                                          [](const Batch::Row& r) { return r.rows > 1 && r.job->generation->cancelled(); });
    };
    batch.cost = runner.cost(rows, outputs, cached);
    began = Clock::now();
    note_first_steps(batch, began);
    if (can_run_ahead(batch, runner)) return run_ahead(model, std::move(owned));
    const Result<StepResult> result = runner.run(batch.step);
    status = result.status();
    account(batch, *model, status, result.ok() ? result->seconds : seconds_between(began, Clock::now()));
    if (result.ok()) {
      step_done(batch, *result);
      return;
    }
  } catch (const std::bad_alloc&) {
    status = Status(Code::out_of_memory, {});
  } catch (const std::exception&) {
    status = Status(Code::internal, {});
  }
  step_failed(batch, status);
}

void Scheduler::note_first_steps(const Batch& batch, Clock::time_point began) {
  for (const Batch::Row& row : batch.rows) {
    Job& job = *row.job;
    if (job.first_step != Clock::time_point{}) continue;
    job.first_step = began;
    job.generation->update_stats([&](GenerationStats& s) { s.queued_s = seconds_between(job.submitted, began); });
  }
}

// Nothing was committed. A step of one job says who is at fault; the jobs of a larger one are tried one by one.
void Scheduler::step_failed(Batch& batch, const Status& status) noexcept {
  batch.roll_back();
  const std::vector<Batch::Row> rows = std::move(batch.rows);
  batch.rows.clear();
  if (status.code() == Code::cancelled) return;  // the cancelled job is reaped; the others go on in the next step
  if (status.code() == Code::device_lost) return device_lost(status);
  if (rows.size() == 1) {
    end_job(*rows[0].job, Event::fail(status));
    return;
  }
  for (const Batch::Row& row : rows) row.job->alone = true;
}

void Scheduler::step_done(Batch& batch, const StepResult& result, const Batch* behind) {
  std::vector<Batch::Row> rows = std::move(batch.rows);
  batch.rows.clear();
  // Commit all before anything can fail: from here on each job is on its own.
  for (Batch::Row& row : rows) {
    CacheSlot& cache = *row.job->cache;
    if (row.job->done) {  // it ended while this ran ahead
      batch.roll_back(row);
      continue;
    }
    const bool goes_on = behind && behind->holds(row.job);
    const Status committed = goes_on ? batch.kv.commit_front(*cache.sequence, row.rows) : batch.kv.commit(*cache.sequence, row.rows);
    cache.content.follow(row.job->content, row.rows);  // capacity was reserved
    cache.last_used = step_number_;
    row.job->alone = false;
    if (!committed.ok()) end_job(*row.job, Event::fail(committed));
  }
  const size_t vocabulary = rows[0].job->cache->model->vocabulary_size;
  size_t output = 0;
  for (const Batch::Row& row : rows) {
    Job& job = *row.job;
    const size_t at = output;
    output += row.outputs ? 1 : 0;
    if (job.done) continue;
    const uint32_t total = job.prompt_tokens;
    if (job.generated == 0) job.generation->progress(std::min(static_cast<uint32_t>(job.cache->content.size()), total), total);
    if (!row.outputs) continue;
    try {
      const std::span<const float> logits =
          result.logits.size() >= output * vocabulary ? result.logits.subspan(at * vocabulary, vocabulary) : std::span<const float>();
      sample(job, logits, result.drawn[at]);
    } catch (const std::bad_alloc&) {
      end_job(job, Event::fail(Status(Code::out_of_memory, {})));
    }
  }
}

// The next token of a job whose content is all in the cache: what the device drew, or what its logits give here.
void Scheduler::sample(Job& job, std::span<const float> logits, int32_t drawn) {
  const Vocabulary& vocabulary = *job.cache->model->vocabulary;
  Event event{.kind = EventKind::token};
  if (draws_on_device(job)) {
    event.token = drawn;
  } else {
    const auto token = sampler_.sample(logits, job.sampling, job.content.tokens(), job.content.size());
    if (!token.ok()) return end_job(job, Event::fail(token.status()));
    event.token = *token;
  }
  if (!vocabulary.has(event.token)) {
    return end_job(job,
                   Event::fail(error(Code::internal, "the model chose token %d of a vocabulary of %zu", event.token, vocabulary.size())));
  }
  if (job.logprobs > 0) {
    const auto logprob = sampler_.logprobs(logits, event.token, job.logprobs, event.top);
    if (!logprob.ok()) return end_job(job, Event::fail(logprob.status()));
    event.logprob = *logprob;
  }
  const bool is_end = !job.ignore_end && vocabulary.is_end(event.token);
  const Clock::time_point now = Clock::now();
  const bool first = job.generated == 0;
  if (first) {
    job.first_token = now;
    publish(*job.cache);  // the whole prompt is in the cache, and its logits are numbers
  }
  FinishReason reason = FinishReason::none;
  if (is_end) {
    reason = FinishReason::stop;
  } else {
    job.content.push_token(event.token);
    ++job.generated;
    std::string text;
    const Status pushed = job.detokenizer->push(event.token, text);
    if (!pushed.ok()) return end_job(job, Event::fail(pushed));
    if (job.stops.push(text, event.text)) reason = FinishReason::stop_string;
    if (reason == FinishReason::none && job.generated == job.max_tokens) reason = FinishReason::length;
    if (reason == FinishReason::none && job.content.size() > job.cache->model->context) reason = FinishReason::context_full;
    job.answer += event.text;
  }
  job.generation->update_stats([&](GenerationStats& s) {
    if (first) {
      s.ttft_s = seconds_between(job.submitted, now);
      s.prefill_s = seconds_between(job.first_step, now);
    }
    s.decode_s = seconds_between(job.first_token, now);
    s.generated_tokens = job.generated;
  });
  Event tail{.kind = EventKind::token};
  if (reason != FinishReason::none && reason != FinishReason::stop_string) {
    std::string rest;
    job.detokenizer->finish(rest);
    if (!job.stops.push(rest, tail.text)) job.stops.flush(tail.text);
    job.answer += tail.text;
  }
  if (!is_end) job.generation->push(std::move(event));
  if (!tail.text.empty()) job.generation->push(std::move(tail));
  if (reason != FinishReason::none) end_job(job, Event::finish(reason));
}

void Scheduler::account(Batch& batch, const ModelSlot& model, const Status& status, double seconds) noexcept {
  uint32_t rows = 0, decoding = 0;
  for (const Batch::Row& row : batch.rows) {
    rows += row.rows;
    decoding += row.decoding ? 1 : 0;
    row.job->generation->update_stats([&](GenerationStats& s) {
      if (!status.ok()) return;
      if (row.decoding) {
        ++s.decode_steps;
        s.step_s += seconds;
        s.decode_bytes += batch.cost.bytes;
        s.decode_macs += batch.cost.macs;
      } else {
        s.prefill_bytes += batch.cost.bytes;
        s.prefill_macs += batch.cost.macs;
      }
    });
  }
  ++step_number_;
  const double end = seconds_between(opened_at_, Clock::now());
  trace_.add({model.id, end - seconds, seconds, rows, rows - decoding, static_cast<uint32_t>(batch.rows.size()), batch.cost.bytes,
              batch.cost.macs, status.code()});
  const std::lock_guard lock(mutex_);
  ++stats_.steps;
  stats_.device_s += seconds;
  if (!status.ok()) return;
  stats_.prompt_rows += rows - decoding;
  stats_.decode_rows += decoding;
  stats_.bytes_read += batch.cost.bytes;
  stats_.macs += batch.cost.macs;
}

}  // namespace kl
