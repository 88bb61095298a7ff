#include "vulkan/recording.h"

#include <algorithm>
#include <cstring>

#include "core/checked.h"

namespace kl::vulkan {
namespace {

constexpr uint32_t kMaxKinds = 64;   // of attention in one plan
constexpr uint32_t kKindBytes = 16;  // prepare.comp

}  // namespace

VulkanRecording::~VulkanRecording() {
  if (context_->abandoned()) return;
  context_->free_command_buffers(commands_);
  if (pool_ != VK_NULL_HANDLE) context_->vk().vkDestroyDescriptorPool(context_->device(), pool_, nullptr);
}

class Recorder {
 public:
  Recorder(const RecordRequest& request, VulkanRecording& recording) : r_(request), vk_(request.context->vk()), recording_(recording) {}

  Status run() {
    KL_TRY(bind());
    std::vector<Variant> variants;
    variants.reserve(items_.size());
    for (const Item& item : items_) variants.push_back(item.dispatch.variant);
    KL_TRY(r_.pipelines.make(variants));
    KL_TRY(make_sets());
    KL_ASSIGN(recording_.commands_, r_.context->command_buffers(static_cast<uint32_t>(r_.plan.segments.size())));
    for (size_t s = 0; s < r_.plan.segments.size(); ++s) KL_TRY(record_segment(s));
    return {};
  }

 private:
  // One entry per launch, in order; a barrier goes before it where the planner put one.
  struct Item {
    Dispatch dispatch;
    uint32_t op = 0;
    bool barrier = false;
    VkDescriptorSet set = VK_NULL_HANDLE;
  };

  Status check(VkResult result, const char* call) { return r_.context->check(result, call); }
  VkDevice device() const { return r_.context->device(); }

  Status bind() {
    const Plan& plan = r_.plan;
    for (uint32_t at = 0; at < plan.ops.size(); ++at) {
      const PlannedOp& planned = plan.ops[at];
      const BindContext context{plan,   planned,    r_.bindings,       r_.context->limits().maxStorageBufferRange, r_.ropes, r_.copier,
                                kinds_, r_.context, recording_.tables_};
      std::vector<Dispatch> dispatches;
      KL_TRY(kernels()[planned.support.row].bind(planned.op, context, dispatches));
      uint32_t stage = ~0u;
      for (Dispatch& d : dispatches) {
        if (d.stage >= planned.support.stages.size() || d.push.size() * 4 > kMaxPushBytes ||
            d.buffers.size() >= info(d.variant.shader).bindings + 1)
          return error(Code::internal, "kernel %s planned another launch of %s", planned.support.kernel.c_str(),
                       info(d.variant.shader).name);
        const bool starts = d.stage != stage;
        stage = d.stage;
        const bool barrier = starts && (stage == 0 ? planned.barrier : planned.support.stages[stage].barrier);
        items_.push_back({std::move(d), at, barrier, VK_NULL_HANDLE});
      }
      if (stage + 1 != planned.support.stages.size())
        return error(Code::internal, "kernel %s planned %zu stages and recorded %u", planned.support.kernel.c_str(),
                     planned.support.stages.size(), stage + 1);
    }
    if (kinds_.empty()) return {};
    if (kinds_.size() > kMaxKinds)
      return error(Code::unsupported, "%zu kinds of attention in one model, at most %u", kinds_.size(), kMaxKinds);
    KL_ASSIGN(recording_.grids_, DeviceMemory::allocate(r_.context, 2 * uint64_t{kMaxKinds} * kKindBytes, Access::upload, false));
    for (size_t i = 0; i < kinds_.size(); ++i) {
      const uint32_t words[4] = {kinds_[i].window, kinds_[i].heads, 0, 0};
      std::memcpy(recording_.grids_->host() + i * kKindBytes, words, sizeof words);
    }
    const BindContext context{plan, plan.ops[0], r_.bindings, 0, r_.ropes, r_.copier, kinds_, r_.context, recording_.tables_};
    Dispatch d;
    d.variant = {Shader::prepare};
    d.buffers = {{recording_.grids_->buffer(), 0, kMaxKinds * kKindBytes},
                 {recording_.grids_->buffer(), kMaxKinds * kKindBytes, kMaxKinds * kKindBytes}};
    d.push = {static_cast<uint32_t>(kinds_.size()), context.word(context.params().row_slot()), context.word(context.params().row_span())};
    items_.insert(items_.begin(), {std::move(d), 0, false, VK_NULL_HANDLE});
    return {};
  }

  Status make_sets() {
    uint32_t buffers = 0;
    std::vector<VkDescriptorSetLayout> layouts;
    for (const Item& item : items_) {
      buffers += info(item.dispatch.variant.shader).bindings;
      layouts.push_back(r_.pipelines.set_layout(item.dispatch.variant.shader));
    }
    if (items_.empty()) return {};
    const VkDescriptorPoolSize size{VK_DESCRIPTOR_TYPE_STORAGE_BUFFER, buffers};
    VkDescriptorPoolCreateInfo pool{};
    pool.sType = VK_STRUCTURE_TYPE_DESCRIPTOR_POOL_CREATE_INFO;
    pool.maxSets = static_cast<uint32_t>(items_.size());
    pool.poolSizeCount = 1;
    pool.pPoolSizes = &size;
    KL_TRY(check(vk_.vkCreateDescriptorPool(device(), &pool, nullptr, &recording_.pool_), "vkCreateDescriptorPool"));
    std::vector<VkDescriptorSet> sets(items_.size());
    VkDescriptorSetAllocateInfo allocate{};
    allocate.sType = VK_STRUCTURE_TYPE_DESCRIPTOR_SET_ALLOCATE_INFO;
    allocate.descriptorPool = recording_.pool_;
    allocate.descriptorSetCount = static_cast<uint32_t>(sets.size());
    allocate.pSetLayouts = layouts.data();
    KL_TRY(check(vk_.vkAllocateDescriptorSets(device(), &allocate, sets.data()), "vkAllocateDescriptorSets"));

    const auto* step = static_cast<const DeviceMemory*>(r_.bindings.step_params);
    const BufferRange whole{step->buffer(), 0, StepParams::bytes(r_.plan.config.limits)};
    for (size_t i = 0; i < items_.size(); ++i) {
      items_[i].set = sets[i];
      const uint32_t bindings = info(items_[i].dispatch.variant.shader).bindings;
      std::vector<VkDescriptorBufferInfo> infos(bindings);
      std::vector<VkWriteDescriptorSet> writes(bindings);
      for (uint32_t b = 0; b < bindings; ++b) {
        const std::vector<BufferRange>& given = items_[i].dispatch.buffers;
        const BufferRange& range = b == 0 || b > given.size() ? whole : given[b - 1];
        infos[b] = {range.buffer, range.offset, range.bytes};
        writes[b].sType = VK_STRUCTURE_TYPE_WRITE_DESCRIPTOR_SET;
        writes[b].dstSet = sets[i];
        writes[b].dstBinding = b;
        writes[b].descriptorCount = 1;
        writes[b].descriptorType = VK_DESCRIPTOR_TYPE_STORAGE_BUFFER;
        writes[b].pBufferInfo = &infos[b];
      }
      vk_.vkUpdateDescriptorSets(device(), bindings, writes.data(), 0, nullptr);
    }
    return {};
  }

  void barrier(VkCommandBuffer commands, VkPipelineStageFlags from, VkAccessFlags wrote, VkPipelineStageFlags to, VkAccessFlags access) {
    VkMemoryBarrier b{};
    b.sType = VK_STRUCTURE_TYPE_MEMORY_BARRIER;
    b.srcAccessMask = wrote;
    b.dstAccessMask = access;
    vk_.vkCmdPipelineBarrier(commands, from, to, 0, 1, &b, 0, nullptr, 0, nullptr);
  }

  Status record_segment(size_t s) {
    const VkCommandBuffer commands = recording_.commands_[s];
    VkCommandBufferBeginInfo begin{};
    begin.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_BEGIN_INFO;
    KL_TRY(check(vk_.vkBeginCommandBuffer(commands, &begin), "vkBeginCommandBuffer"));
    constexpr VkPipelineStageFlags kCompute = VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT;
    constexpr VkAccessFlags kAll = VK_ACCESS_SHADER_READ_BIT | VK_ACCESS_SHADER_WRITE_BIT;
    // What ran before: an earlier segment, a copy between pages, the step before.
    barrier(commands, kCompute | VK_PIPELINE_STAGE_TRANSFER_BIT | VK_PIPELINE_STAGE_DRAW_INDIRECT_BIT,
            VK_ACCESS_SHADER_WRITE_BIT | VK_ACCESS_TRANSFER_WRITE_BIT, kCompute | VK_PIPELINE_STAGE_DRAW_INDIRECT_BIT,
            kAll | VK_ACCESS_INDIRECT_COMMAND_READ_BIT);
    VkPipeline bound = VK_NULL_HANDLE;
    const Segment& segment = r_.plan.segments[s];
    bool first = true;
    for (; next_ < items_.size() && items_[next_].op < segment.last; ++next_) {
      const Item& item = items_[next_];
      const Dispatch& d = item.dispatch;
      if (item.barrier && !first) barrier(commands, kCompute, VK_ACCESS_SHADER_WRITE_BIT, kCompute, kAll);
      first = false;
      KL_ASSIGN(const VkPipeline pipeline, r_.pipelines.get(d.variant));
      if (pipeline != bound) vk_.vkCmdBindPipeline(commands, VK_PIPELINE_BIND_POINT_COMPUTE, pipeline);
      bound = pipeline;
      const VkPipelineLayout layout = r_.pipelines.layout(d.variant.shader);
      vk_.vkCmdBindDescriptorSets(commands, VK_PIPELINE_BIND_POINT_COMPUTE, layout, 0, 1, &item.set, 0, nullptr);
      vk_.vkCmdPushConstants(commands, layout, VK_SHADER_STAGE_COMPUTE_BIT, 0, static_cast<uint32_t>(d.push.size() * 4), d.push.data());
      if (d.kind < 0) {
        vk_.vkCmdDispatch(commands, d.grid[0], d.grid[1], d.grid[2]);
      } else {
        vk_.vkCmdDispatchIndirect(commands, recording_.grids_->buffer(), (kMaxKinds + static_cast<uint32_t>(d.kind)) * kKindBytes);
      }
      if (d.variant.shader == Shader::prepare) {
        barrier(commands, kCompute, VK_ACCESS_SHADER_WRITE_BIT, kCompute | VK_PIPELINE_STAGE_DRAW_INDIRECT_BIT,
                kAll | VK_ACCESS_INDIRECT_COMMAND_READ_BIT);
      }
    }
    barrier(commands, kCompute, VK_ACCESS_SHADER_WRITE_BIT, VK_PIPELINE_STAGE_HOST_BIT, VK_ACCESS_HOST_READ_BIT);
    return check(vk_.vkEndCommandBuffer(commands), "vkEndCommandBuffer");
  }

  const RecordRequest& r_;
  const VolkDeviceTable& vk_;
  VulkanRecording& recording_;
  std::vector<AttentionKind> kinds_;
  std::vector<Item> items_;
  size_t next_ = 0;
};

Result<std::unique_ptr<Recording>> record_plan(const RecordRequest& request) {
  auto recording = std::make_unique<VulkanRecording>(request.context);
  KL_TRY(Recorder(request, *recording).run());
  request.pipelines.save();
  return std::unique_ptr<Recording>(std::move(recording));
}

}  // namespace kl::vulkan
