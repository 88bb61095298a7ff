// A Plan as command buffers: one per segment, recorded once. What differs from step to step is read on the device, from the step's parameters; so a step is a
// submission.
#pragma once
#include "vulkan/kernel_table.h"
#include "vulkan/submission_budget.h"

namespace kl::vulkan {

class VulkanRecording final : public Recording {
 public:
  explicit VulkanRecording(std::shared_ptr<Context> context) : context_(std::move(context)) {}
  ~VulkanRecording() override;
  VulkanRecording(const VulkanRecording&) = delete;
  VulkanRecording& operator=(const VulkanRecording&) = delete;

  uint32_t segments() const override { return static_cast<uint32_t>(commands_.size()); }
  std::span<const VkCommandBuffer> commands(uint32_t first, uint32_t last) const {
    return std::span(commands_).subspan(first, last - first);
  }

  // Segments of one queue submission.
  uint32_t at_once() const { return budget_.at_once(); }
  // What a step of `count` segments took.
  void measured(uint32_t count, std::chrono::nanoseconds time) { budget_.measured(count, segments(), time); }

 private:
  friend class Recorder;
  std::shared_ptr<Context> context_;
  std::vector<VkCommandBuffer> commands_;
  VkDescriptorPool pool_ = VK_NULL_HANDLE;
  std::unique_ptr<DeviceMemory> grids_;  // kinds of attention, then the grids that prepare.comp makes of them
  std::vector<std::unique_ptr<DeviceMemory>> tables_;
  SubmissionBudget budget_;
};

struct RecordRequest {
  const Plan& plan;
  const Bindings& bindings;
  std::shared_ptr<Context> context;
  Pipelines& pipelines;
  RopeTables& ropes;
  Copier& copier;
};
// Errors: out_of_memory, device_lost, internal.
Result<std::unique_ptr<Recording>> record_plan(const RecordRequest& request);

}  // namespace kl::vulkan
