// Steps that run ahead: while a step is on the device, the next one is put behind it, before the token that the first draws is known here. The device passes the
// token on by itself (kFedToken), so it never waits for the host: to read a token, to see whether it ends the answer, to deliver it, to fill the next step.
//
// Depth: one step. What it computed for a job that has ended meanwhile (an end token, a stop text, a cancel) is rolled back: its rows are reserved and not
// committed, and nothing else touches the cache before it is done. A step goes ahead where every row of the one in front is a decoding one whose token is drawn on
// the device, and only as long as nothing else wants the thread (undisturbed): so calls, arrivals and images wait for one step more than they would.
#include <algorithm>
#include <new>

#include "engine/scheduler_batch.h"

namespace kl {
namespace {

template <class F>
Status no_throw(const F& work) noexcept {
  try {
    return work();
  } catch (const std::bad_alloc&) {
    return Status(Code::out_of_memory, {});
  } catch (const std::exception&) {
    return Status(Code::internal, {});
  }
}

}  // namespace

bool Scheduler::can_run_ahead(const Batch& batch, const ModelRunner& runner) const {
  return runner.runs_ahead() && batch.step.copies.empty() && !batch.step.logits &&
         std::all_of(batch.rows.begin(), batch.rows.end(), [](const Batch::Row& row) { return row.rows == 1 && row.outputs; });
}

// The next step would be of the same jobs whatever the tokens are, but for those that end.
bool Scheduler::undisturbed(const Batch& batch) const {
  if (waker_->signalled() || interrupted() || !loss_.ok() || !encodes_.empty()) return false;
  return std::all_of(jobs_.begin(), jobs_.end(), [&](const std::unique_ptr<Job>& job) {
    if (job->done) return false;
    return batch.holds(job.get()) || (job->stalled && !job->generation->has_room());
  });
}

// Every step that has begun is finished here, however this ends.
void Scheduler::run_ahead(const std::shared_ptr<ModelSlot>& model, std::unique_ptr<Batch> batch) noexcept {
  ModelRunner& runner = *model->runner;
  const Status begun = no_throw([&] { return runner.begin(batch->step); });
  if (!begun.ok()) return step_failed(*batch, begun);
  while (batch) {
    std::unique_ptr<Batch> next = undisturbed(*batch) ? begin_next(*batch, *model) : nullptr;
    const Status status = no_throw([&]() -> Status {
      const Result<StepResult> result = runner.finish();
      account(*batch, *model, result.status(), result.ok() ? result->seconds : 0);
      KL_TRY(result.status());
      step_done(*batch, *result, next.get());
      return {};
    });
    if (!status.ok()) {
      if (next && status.code() != Code::device_lost)
        (void)no_throw([&] { return runner.finish().status(); });  // it stands on what has failed
      next.reset();
      return step_failed(*batch, status);
    }
    publish_counts();
    if (next) {
      for (const Batch::Row& row : next->rows) {
        if (row.job->generation->cancelled()) end_job(*row.job, Event::stop());
      }
    }
    batch = std::move(next);
  }
}

// The step behind `batch`, submitted; null: there is none, and nothing has changed but that more may be reserved than `batch` needs, until it is committed.
std::unique_ptr<Scheduler::Batch> Scheduler::begin_next(const Batch& batch, ModelSlot& model) noexcept {
  static constexpr int32_t kUnknown[1] = {0};
  try {
    auto next = std::make_unique<Batch>(batch.kv);
    std::vector<Batch::Row> rows;  // next's once it runs: until then there is nothing of its own to roll back
    rows.reserve(batch.rows.size());
    next->more.reserve(batch.rows.size());
    next->draws.reserve(batch.rows.size());
    uint64_t cached = 0;
    for (uint32_t output = 0; output < batch.rows.size(); ++output) {
      Job& job = *batch.rows[output].job;
      const auto length = static_cast<uint32_t>(job.content.size());  // with batch's row; the token that it draws will stand in this slot
      if (!job.generation->has_room(2)) return nullptr;
      if (job.generated + 1 == job.max_tokens || length + 1 > model.context) continue;  // that token is its last
      job.cache->content.reserve_for(job.content, size_t{length} + 1);
      if (!batch.kv.extend(*job.cache->sequence, 1).ok()) return nullptr;
      rows.push_back({&job, 1, true, true});
      const StepRows& more = next->more.emplace_back(job.content.rows(length, 1, model.images));
      const DrawSettings& draw = next->draws.emplace_back(draw_settings(job.sampling, size_t{length} + 1));
      next->step.sequences.push_back(
          {*job.cache->sequence, kUnknown, length, 1, more.positions, more.spans, more.features, {&draw, 1}, output});
      cached += length;
    }
    if (rows.empty()) return nullptr;
    next->step.logits = false;
    const auto count = static_cast<uint32_t>(rows.size());
    next->cost = model.runner->cost(count, count, cached);
    const Status begun = model.runner->begin(next->step);
    if (begun.code() == Code::device_lost) device_lost(begun);  // the step in front may have been finished before
    if (!begun.ok()) return nullptr;
    next->rows = std::move(rows);
    const std::lock_guard lock(mutex_);
    ++stats_.steps_ahead;
    return next;
  } catch (const std::exception&) {
    return nullptr;
  }
}

}  // namespace kl
