// What the CPU device replays: an array of launches, each a function over a number of tasks that the team's threads claim one by one.
#pragma once
#include <memory>
#include <vector>

#include "backend/step_params.h"
#include "cpu/kernels/attention_split.h"
#include "cpu/kernels/rope.h"
#include "ir/program.h"

namespace kl::cpu {

// Angles of the step's rows for one kind of rope, shared by every layer that has it.
struct StepRope {
  RopeSpec spec;
  RopeFrequencies frequencies;
  std::vector<float> table;  // [rows dims]: cos of each pair, then sin; filled at the start of a step
};

// How attention is cut into tasks in this step, shared by every layer of one shape and window.
struct StepSplit {
  uint32_t group = 0;
  AttentionShape shape;
  AttentionSplit split;
};

// The ranges of one segmentation of this step's rows, in tiles; shared by every layer.
struct StepRanges {
  uint32_t segmentation = 0;
  std::vector<RangeTile> tiles;
};

// What launches see of the step they run in.
struct StepState {
  StepParams params;
  uint32_t threads = 1;
  uint32_t pool = 1;                  // Program::pool
  const int32_t* fed = nullptr;       // [StepLimits::outputs] what the step before drew; null: none
  const float* features = nullptr;    // [StepLimits::feature_rows M]; null: none
  const std::byte* pixels = nullptr;  // [StepLimits::pixel_bytes]; null: none
  std::vector<std::unique_ptr<StepRope>> ropes;
  std::vector<std::unique_ptr<StepSplit>> splits;
  std::vector<std::unique_ptr<StepRanges>> ranges;
  std::vector<SequenceRows> sequences;  // of this step
  std::byte* scratch = nullptr;         // [threads scratch_stride], one part for each thread
  size_t scratch_stride = 0;
};

struct Launch {
  // args is what bind() made; task < tasks(args, step); thread < step.threads.
  using Run = void (*)(const void* args, const StepState& step, uint32_t task, uint32_t thread);
  using Tasks = uint32_t (*)(const void* args, const StepState& step);

  Run run = nullptr;
  Tasks tasks = nullptr;
  std::shared_ptr<const void> args;
};

// A launch over a typed argument block: run(const Args&, step, task, thread), tasks(const Args&, step).
template <class Args, void (*run)(const Args&, const StepState&, uint32_t, uint32_t), uint32_t (*tasks)(const Args&, const StepState&)>
Launch make_launch(std::shared_ptr<const Args> args) {
  return {[](const void* a, const StepState& s, uint32_t task, uint32_t thread) { run(*static_cast<const Args*>(a), s, task, thread); },
          [](const void* a, const StepState& s) { return tasks(*static_cast<const Args*>(a), s); }, std::move(args)};
}

}  // namespace kl::cpu
