// What goes into one step. For the scheduler's own files.
#pragma once
#include <algorithm>
#include <vector>

#include "engine/scheduler.h"

namespace kl {

// Its next token is drawn in the step itself.
inline bool draws_on_device(const Job& job) { return job.sampling.is_plain_draw() && job.logprobs == 0; }

// The jobs of a step with their reservations. What was not committed is rolled back when it goes.
class Scheduler::Batch {
 public:
  struct Row {
    Job* job = nullptr;
    uint32_t rows = 0;
    bool decoding = false;
    bool outputs = false;  // its next token is sampled after this step
  };
  explicit Batch(KvCache& cache) : kv(cache) {}
  ~Batch() { roll_back(); }
  Batch(const Batch&) = delete;
  Batch& operator=(const Batch&) = delete;
  void roll_back() noexcept {
    for (const Row& row : rows) roll_back(row);
  }
  // Where there is nothing to roll back any more, nothing happens: a job that failed has lost its sequence.
  void roll_back(const Row& row) noexcept {
    if (row.job->cache->sequence) (void)kv.roll_back(*row.job->cache->sequence);
  }
  bool holds(const Job* job) const {
    return std::any_of(rows.begin(), rows.end(), [&](const Row& row) { return row.job == job; });
  }
  KvCache& kv;
  std::vector<Row> rows;
  StepBatch step;
  std::vector<StepRows> more;       // one per sequence of the step
  std::vector<DrawSettings> draws;  // likewise
  ModelRunner::Cost cost;
};

}  // namespace kl
