// Which variant of a shader and which kernel is chosen, by what a device can do.
#include <algorithm>
#include <cstring>
#include <map>
#include <set>

#include "ops/op_case.h"
#include "vulkan/driver.h"
#include "vulkan/kernel_table.h"
#include "vulkan/shaders.h"

namespace kl::vulkan {
namespace {

std::string variant(Shader s, uint32_t features) {
  const Module* m = module_for(s, features);
  return m != nullptr ? m->name : "none";
}

TEST(Manifest, EveryShaderHasAVariantThatNeedsNothingUnlessItIsATierOfItsOwn) {
  for (size_t s = 0; s < kShaderCount; ++s) {
    const auto shader = static_cast<Shader>(s);
    const bool own = shader == Shader::linear_matrix || shader == Shader::linear_row_dot || shader == Shader::linear_tile_dot;
    EXPECT_EQ(module_for(shader, 0) == nullptr, own) << kShaders[s].name;
    EXPECT_NE(module_for(shader, feature::all), nullptr) << kShaders[s].name;
  }
  for (const Module& m : modules()) {
    EXPECT_TRUE(
        std::any_of(std::begin(kShaders), std::end(kShaders), [&](const ShaderInfo& i) { return std::strcmp(i.name, m.shader) == 0; }))
        << m.name << " is a variant of no shader";
    EXPECT_GT(m.count, 5U) << m.name;
  }
}

TEST(Manifest, TheBestVariantThatTheFeaturesAllowIsTaken) {
  EXPECT_EQ(variant(Shader::attention, feature::all), "attention_narrow");
  EXPECT_EQ(variant(Shader::attention, feature::subgroup | feature::storage16), "attention_subgroup");
  EXPECT_EQ(variant(Shader::attention, feature::storage16 | feature::storage8 | feature::dot), "attention");
  EXPECT_EQ(variant(Shader::kv_write, feature::storage16 | feature::storage8), "kv_write_narrow");
  EXPECT_EQ(variant(Shader::norm, feature::all & ~feature::subgroup), "norm");
  EXPECT_EQ(variant(Shader::linear_matrix, feature::all & ~feature::matrix), "none");
}

// A driver refuses a module, or worse, takes it, when it declares what the device lacks: so what a module declares follows from what its row says it needs.
TEST(Manifest, WhatAModuleDeclaresIsWhatItsRowNeeds) {
  constexpr uint32_t kOpCapability = 17, kShaderCapability = 1;
  // A SPIR-V capability and the features that bring it.
  const std::map<uint32_t, uint32_t> brought_by = {{61, feature::subgroup | feature::matrix},  // GroupNonUniform
                                                   {65, feature::subgroup},                    // GroupNonUniformShuffle
                                                   {4433, feature::storage16},                 // StorageBuffer16BitAccess
                                                   {4448, feature::storage8},                  // StorageBuffer8BitAccess
                                                   {6018, feature::dot},                       // DotProductInput4x8BitPacked
                                                   {6019, feature::dot},                       // DotProduct
                                                   {6022, feature::matrix},                    // CooperativeMatrixKHR
                                                   {5345, feature::matrix},                    // VulkanMemoryModel
                                                   {39, feature::matrix}};                     // Int8
  for (const Module& m : modules()) {
    uint32_t used = 0;
    for (size_t at = 5; at < m.count && (m.words[at] & 0xffffU) == kOpCapability; at += m.words[at] >> 16U) {
      if (m.words[at + 1] == kShaderCapability) continue;
      const auto known = brought_by.find(m.words[at + 1]);
      ASSERT_NE(known, brought_by.end()) << m.name << " declares capability " << m.words[at + 1];
      EXPECT_NE(m.needs & known->second, 0U) << m.name << " declares capability " << m.words[at + 1] << " and its row does not say so";
      used |= m.needs & known->second;
    }
    // linear_matrix reads what round.comp leaves for dot products; emulation is nothing that a module can declare.
    const uint32_t silent = std::strcmp(m.shader, "linear_matrix") == 0 ? feature::dot | feature::emulation : 0;
    EXPECT_EQ((m.needs & ~silent), used & ~silent) << m.name << " needs less than its row says";
  }
}

// Drivers may round these as they like within some ulp, and do: include/math.glsl has what is used instead.
TEST(Manifest, NoModuleDividesOrCallsAFunctionThatIsNotExact) {
  constexpr uint32_t kOpExtInst = 12;
  const std::set<uint32_t> inexact_ops = {136, 140, 141};  // OpFDiv, OpFRem, OpFMod
  // Of GLSL.std.450: RoundEven, FAbs, SAbs, FMin, UMin, SMin, FMax, UMax, SMax, FClamp, Fma, FindUMsb.
  const std::set<uint32_t> exact_functions = {2, 4, 5, 37, 38, 39, 40, 41, 42, 43, 50, 75};
  for (const Module& m : modules()) {
    for (size_t at = 5; at < m.count; at += m.words[at] >> 16U) {
      const uint32_t op = m.words[at] & 0xffffU;
      EXPECT_EQ(inexact_ops.count(op), 0U) << m.name << " has operation " << op;
      if (op == kOpExtInst) {
        EXPECT_EQ(exact_functions.count(m.words[at + 4]), 1U) << m.name << " calls function " << m.words[at + 4];
      }
    }
  }
}

TEST(CapabilitiesTest, DroppingDotDropsTheMatricesThatMustAgreeWithIt) {
  Capabilities c;
  c.features = feature::all;
  c.drop(feature::dot);
  EXPECT_EQ(c.features, feature::subgroup | feature::storage16 | feature::storage8);
  EXPECT_EQ(c.tiers(), (std::vector<uint32_t>{feature::storage16 | feature::storage8, feature::subgroup}));
  c.subgroup = 32;
  EXPECT_EQ(c.tier(), "fp32+subgroup32+16bit");
}

VkCooperativeMatrixPropertiesKHR matrices(uint32_t m, uint32_t n, uint32_t k, bool integers) {
  VkCooperativeMatrixPropertiesKHR p{};
  p.MSize = m, p.NSize = n, p.KSize = k;
  p.AType = p.BType = integers ? VK_COMPONENT_TYPE_SINT8_KHR : static_cast<VkComponentTypeKHR>(0);
  p.CType = p.ResultType = integers ? VK_COMPONENT_TYPE_SINT32_KHR : VK_COMPONENT_TYPE_FLOAT32_KHR;
  p.scope = VK_SCOPE_SUBGROUP_KHR;
  return p;
}

TEST(CapabilitiesTest, MatricesAreTakenInAShapeThatTheShaderCanTile) {
  const auto choose = [](std::vector<VkCooperativeMatrixPropertiesKHR> all) {
    const MatrixShape s = choose_matrix(all);
    return std::vector<uint32_t>{s.m, s.n, s.k};
  };
  EXPECT_EQ(choose({matrices(16, 16, 16, false), matrices(16, 16, 32, true)}), (std::vector<uint32_t>{16, 16, 32}));
  EXPECT_EQ(choose({matrices(16, 16, 32, true)}), (std::vector<uint32_t>{0, 0, 0})) << "no float32 accumulator of that size";
  EXPECT_EQ(choose({matrices(8, 16, 64, true), matrices(8, 16, 16, false)}), (std::vector<uint32_t>{0, 0, 0})) << "K is more than a block";
  EXPECT_EQ(choose({matrices(8, 16, 16, false), matrices(8, 16, 64, true), matrices(8, 16, 32, true)}), (std::vector<uint32_t>{8, 16, 32}));
  EXPECT_EQ(choose({matrices(8, 8, 8, false), matrices(8, 8, 8, true)}), (std::vector<uint32_t>{8, 8, 8}));
  auto saturating = matrices(16, 16, 32, true);
  saturating.saturatingAccumulation = VK_TRUE;
  EXPECT_EQ(choose({matrices(16, 16, 16, false), saturating}), (std::vector<uint32_t>{0, 0, 0}));
}

// The kernel that a device with these features would run a linear with.
std::string kernel(uint32_t features, const char* format, const char* activations, uint32_t rows,
                   std::vector<std::string>* skipped = nullptr) {
  ops::Built built = ops::build({"linear", {{"T", "1"}, {"K", "256"}, {"N", "40"}, {"w", format}, {"act", activations}}});
  built.config.rows = built.config.outputs = rows;
  for (const Op& op : built.program.ops) {
    if (std::strcmp(name(op), "linear") != 0) continue;
    const Answer answer = choose_kernel(op, {built.program, built.config, uint64_t{1} << 27U, features});
    const auto* support = std::get_if<Support>(&answer);
    if (support == nullptr) return std::get<Refusal>(answer).reason;
    if (skipped != nullptr) *skipped = support->skipped;
    return support->kernel;
  }
  return "no linear";
}

TEST(Kernels, ProductsAreChosenByDeviceFormatAndBucket) {
  EXPECT_EQ(kernel(feature::all, "q4_0", "q8", 64), "linear.matrix");
  EXPECT_EQ(kernel(feature::all, "q4_0", "q8", 4), "linear.dot");
  EXPECT_EQ(kernel(feature::all, "q6_k", "q8", 64), "linear.dot");
  EXPECT_EQ(kernel(feature::all & ~feature::matrix, "q4_0", "q8", 64), "linear.dot");
  EXPECT_EQ(kernel(feature::all, "q4_0", "f32", 64), "linear");
  EXPECT_EQ(kernel(feature::all, "q4_0", "f16", 64), "linear");
  EXPECT_EQ(kernel(feature::all, "f16", "q8", 64), "linear");
  std::vector<std::string> skipped;
  EXPECT_EQ(kernel(feature::subgroup, "q4_0", "q8", 64, &skipped), "linear");
  ASSERT_EQ(skipped.size(), 2U);
  EXPECT_EQ(skipped[1], "linear.dot: the device has no integer dot products");
}

TEST(VulkanTiers, EachIsOpenedAndNamedAndTheLastLeavesNothingToTake) {
  KL_VULKAN_OR_SKIP(device);
  const Capabilities here = capabilities_here();
  EXPECT_EQ(device->info().tier.substr(0, device->info().tier.find(',')), here.tier());
  EXPECT_EQ(device->info().capabilities, here.text());
  const auto count = static_cast<uint32_t>(here.tiers().size());
  std::string identity = device->info().identity;
  VulkanOptions options;
  for (options.tiers_left_out = 1; options.tiers_left_out <= count; ++options.tiers_left_out) {
    const auto lower = open_vulkan(options);
    ASSERT_TRUE(lower.ok()) << lower.status().message();
    EXPECT_NE((*lower)->info().identity, identity) << "a verdict on one tier is none on another";
    identity = (*lower)->info().identity;
    if (options.tiers_left_out == count) {
      EXPECT_EQ((*lower)->info().tier.substr(0, 5), "fp32,");
    }
  }
  EXPECT_EQ(open_vulkan(options).status().code(), Code::not_found);
}

}  // namespace
}  // namespace kl::vulkan
