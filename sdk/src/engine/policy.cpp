#include "engine/policy.h"

#include <algorithm>

namespace kl {
namespace {

// Rows that a job must take at least, when it takes any.
uint32_t least_rows(const PolicyJob& job) { return !job.whole.empty() && job.whole[0].first == 0 ? job.whole[0].end : 1; }

// `rows` for all of them, `most` with what must stay whole.
void share_rows(std::span<const PolicyJob> jobs, const std::vector<uint32_t>& prompts, uint32_t rows, uint32_t most,
                std::vector<StepSlice>& slices) {
  std::vector<uint32_t> given(prompts.size(), 0);
  std::vector<bool> waits(prompts.size(), false);
  uint32_t used = 0;
  for (size_t i = 0; i < prompts.size(); ++i) {
    const uint32_t least = least_rows(jobs[prompts[i]]);
    if (least == 1) continue;
    waits[i] = least > most - used;
    if (waits[i]) continue;
    given[i] = least;
    used += least;
  }
  rows = std::max(rows, used) - used;
  const auto wants = [&](size_t i) { return !waits[i] && given[i] < jobs[prompts[i]].pending; };
  while (rows > 0) {
    uint32_t wanting = 0;
    for (size_t i = 0; i < prompts.size(); ++i) wanting += wants(i) ? 1 : 0;
    if (wanting == 0) break;
    const uint32_t part = std::max(rows / wanting, 1u);
    for (size_t i = 0; i < prompts.size() && rows > 0; ++i) {
      if (!wants(i)) continue;
      const uint32_t more = std::min({part, jobs[prompts[i]].pending - given[i], rows});
      given[i] += more;
      rows -= more;
    }
  }
  for (size_t i = 0; i < prompts.size(); ++i) {  // what a cut gives back goes to those behind
    const PolicyJob& job = jobs[prompts[i]];
    if (waits[i]) continue;
    const uint32_t cut = uncut_rows(job.whole, std::min(given[i] + rows, job.pending));
    rows = given[i] + rows - cut;
    given[i] = cut;
    if (cut > 0) slices.push_back({prompts[i], cut});
  }
}

}  // namespace

uint32_t uncut_rows(std::span<const WholeRows> whole, uint32_t rows) {
  for (const WholeRows& w : whole) {
    if (w.first < rows && rows < w.end) return w.first;
  }
  return rows;
}

StepChoice choose_step(std::span<const PolicyModel> models, std::span<const PolicyJob> jobs, uint32_t next_model) {
  StepChoice choice;
  choice.next_model = next_model;
  if (jobs.empty() || models.empty()) return choice;
  const auto model_count = static_cast<uint32_t>(models.size());
  uint32_t model = next_model % model_count;
  const auto has_work = [&](uint32_t m) { return std::any_of(jobs.begin(), jobs.end(), [&](const PolicyJob& j) { return j.model == m; }); };
  for (uint32_t i = 0; i < model_count && !has_work(model); ++i) model = (model + 1) % model_count;
  if (!has_work(model)) return choice;
  choice.model = model;
  choice.next_model = (model + 1) % model_count;
  const PolicyModel& limits = models[model];
  choice.next_job = limits.next_job;

  for (uint32_t i = 0; i < jobs.size(); ++i) {
    if (jobs[i].model == model && jobs[i].alone) {
      choice.slices.push_back({i, uncut_rows(jobs[i].whole, std::min(jobs[i].pending, limits.max_rows))});
      return choice;
    }
  }

  // More jobs than fit in a step take turns, whatever their kind: a crowd of decoding sessions does not keep a prompt out.
  const uint32_t most_jobs = std::min({limits.max_sequences, limits.max_rows, limits.max_outputs});
  const auto count = static_cast<uint32_t>(jobs.size());
  std::vector<uint32_t> decoding, prompts;
  for (uint32_t i = 0; i < count; ++i) {
    const uint32_t job = (limits.next_job % count + i) % count;
    if (jobs[job].model != model) continue;
    if (decoding.size() + prompts.size() == most_jobs) {
      choice.next_job = job;
      break;
    }
    (jobs[job].decoding ? decoding : prompts).push_back(job);
  }
  std::sort(prompts.begin(), prompts.end());
  const uint32_t first = prompts.empty() ? 0 : std::min(least_rows(jobs[prompts[0]]), limits.max_rows);
  if (decoding.size() > limits.max_rows - first) decoding.resize(limits.max_rows - first);
  for (const uint32_t job : decoding) choice.slices.push_back({job, 1});
  const uint32_t most = limits.max_rows - static_cast<uint32_t>(decoding.size());
  share_rows(jobs, prompts, decoding.empty() ? most : std::min(most, kPromptRowsBesideDecoding), most, choice.slices);
  return choice;
}

EncodeDebt after_text(EncodeDebt debt, double seconds) { return {std::max(debt.seconds - seconds, -kSliceSeconds)}; }

EncodeDebt after_encode(EncodeDebt debt, double seconds) { return {debt.seconds + seconds * kTextShare / (1 - kTextShare)}; }

Work choose_work(bool text, bool encode, bool unsliced, EncodeDebt debt) {
  if (!encode) return text ? Work::text : Work::nothing;
  return !text || unsliced || debt.seconds <= 0 ? Work::encode : Work::text;
}

}  // namespace kl
