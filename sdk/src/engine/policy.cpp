#include "engine/policy.h"

#include <algorithm>

namespace kl {
namespace {

void share_rows(std::span<const PolicyJob> jobs, const std::vector<uint32_t>& prompts, uint32_t rows, std::vector<StepSlice>& slices) {
  std::vector<uint32_t> given(prompts.size(), 0);
  while (rows > 0) {
    const auto wanting = static_cast<uint32_t>(std::count_if(prompts.begin(), prompts.end(), [&](const uint32_t& job) {
      return given[static_cast<size_t>(&job - prompts.data())] < jobs[job].pending;
    }));
    if (wanting == 0) break;
    const uint32_t part = std::max(rows / wanting, 1u);
    for (size_t i = 0; i < prompts.size() && rows > 0; ++i) {
      const uint32_t more = std::min({part, jobs[prompts[i]].pending - given[i], rows});
      given[i] += more;
      rows -= more;
    }
  }
  for (size_t i = 0; i < prompts.size(); ++i) {
    if (given[i] > 0) slices.push_back({prompts[i], given[i]});
  }
}

}  // namespace

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
      choice.slices.push_back({i, std::min(jobs[i].pending, limits.max_rows)});
      return choice;
    }
  }

  // More jobs than fit in a step take turns, whatever their kind: a crowd of decoding sessions does not keep a prompt out.
  const uint32_t most = std::min({limits.max_sequences, limits.max_rows, limits.max_outputs});
  const auto count = static_cast<uint32_t>(jobs.size());
  std::vector<uint32_t> decoding, prompts;
  for (uint32_t i = 0; i < count; ++i) {
    const uint32_t job = (limits.next_job % count + i) % count;
    if (jobs[job].model != model) continue;
    if (decoding.size() + prompts.size() == most) {
      choice.next_job = job;
      break;
    }
    (jobs[job].decoding ? decoding : prompts).push_back(job);
  }
  for (const uint32_t job : decoding) choice.slices.push_back({job, 1});
  std::sort(prompts.begin(), prompts.end());
  uint32_t rows = limits.max_rows - static_cast<uint32_t>(decoding.size());
  if (!decoding.empty()) rows = std::min(rows, kPromptRowsBesideDecoding);
  share_rows(jobs, prompts, rows, choice.slices);
  return choice;
}

}  // namespace kl
