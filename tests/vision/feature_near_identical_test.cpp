// 100,000 pictures that are almost the same, with a stand-in encoder whose rows spell out everything that went in: a stale or wrong hit would be seen.
#include <gtest/gtest.h>

#include <string>

#include "support/no_sync_os.h"
#include "support/temp_folder.h"
#include "vision/feature_cache.h"
#include "vision/feature_key.h"

namespace kl {
namespace {

constexpr uint64_t kPictures = 100'000;
constexpr size_t kPixels = 256;
constexpr uint32_t kShapes[] = {1, 2, 4, 8, 16, 32, 64, 128, 256};  // widths; the same bytes in each
constexpr const char* kSpecs[] = {"stretch 512", "stretch 513", "crop 512", "dynamic 512"};
constexpr const char* kEncoders[] = {"encoder a", "encoder b", "encoder a cpu"};

// Picture `number` differs from every other in one bit of one pixel at most two times, in its size, in the spec or in the encoder.
struct Case {
  explicit Case(uint64_t number) : rgb(kPixels * 3) {
    for (size_t i = 0; i < rgb.size(); ++i) rgb[i] = static_cast<uint8_t>(i * 89 >> 3);
    width = kShapes[number % std::size(kShapes)];
    number /= std::size(kShapes);
    spec = kSpecs[number % std::size(kSpecs)];
    number /= std::size(kSpecs);
    encoder = kEncoders[number % std::size(kEncoders)];
    number /= std::size(kEncoders);
    rgb[number / 8 % rgb.size()] = static_cast<uint8_t>(rgb[number / 8 % rgb.size()] ^ 1 << number % 8);
  }
  PixelView view() const {
    return {reinterpret_cast<const std::byte*>(rgb.data()), width, static_cast<uint32_t>(kPixels / width), size_t{3} * width,
            PixelFormat::rgb8};
  }
  FeatureRecipe recipe() const { return {spec, 0, 0.0f, std::as_bytes(std::span(encoder))}; }
  FeatureKey key() const { return *feature_key(view(), false, recipe()); }
  // Of the "file": the pixels behind a header with the size.
  FeatureKey source() const {
    const std::string file = "P6 " + std::to_string(width) + " " + std::string(rgb.begin(), rgb.end());
    return *source_key(std::as_bytes(std::span(file)), recipe());
  }
  Features encode() const {
    Features f;
    f.rows = 1;
    for (const uint8_t value : rgb) f.values.push_back(value);
    f.values.push_back(static_cast<float>(width));
    for (const char c : spec) f.values.push_back(static_cast<float>(c));
    f.values.push_back(-1.0f);
    for (const char c : encoder) f.values.push_back(static_cast<float>(c));
    f.width = static_cast<uint32_t>(f.values.size());
    f.blocks = {{1, 1, 1}};
    return f;
  }
  std::vector<uint8_t> rgb;
  uint32_t width;
  std::string spec, encoder;
};

struct Asked {
  uint64_t hits = 0, encoded = 0, spared = 0;
};

void ask(FeatureCache& cache, uint64_t number, Asked& asked) {
  const Case picture(number);
  const FeatureKey source = picture.source();
  FeatureHit hit = cache.find_source(source);
  asked.spared += hit ? 1 : 0;
  if (!hit) {
    FeatureBegin begin = cache.begin(picture.key());
    asked.encoded += begin.claim ? 1 : 0;
    hit = begin.claim ? begin.claim.publish(picture.encode()) : begin.hit;
    cache.remember(source, picture.key());
  }
  asked.hits += hit.tier == FeatureTier::none ? 0 : 1;
  ASSERT_TRUE(hit);
  ASSERT_EQ(hit.features->values, picture.encode().values) << "picture " << number << " got another one's rows";
}

TEST(FeatureCacheNearIdentical, NeverAStaleOrWrongHitOver100000Pictures) {
  FeatureCache cache({.device_bytes = uint64_t{2} << 20, .host_bytes = uint64_t{8} << 20, .folder = {}, .memo_entries = 10'000});
  Asked asked;
  uint64_t random = 7;
  for (uint64_t number = 0; number < kPictures; ++number) {
    ASSERT_NO_FATAL_FAILURE(ask(cache, number, asked));
    random = random * 6364136223846793005u + 1442695040888963407u;
    const uint64_t back = std::min(number, (random >> 33) % 6000);  // held, forgotten by the tiers, or by the memo too
    ASSERT_NO_FATAL_FAILURE(ask(cache, number - back, asked));
  }
  EXPECT_GE(asked.encoded, kPictures) << "no two pictures are one";
  EXPECT_GT(asked.hits, kPictures / 3);
  EXPECT_GT(asked.spared, kPictures / 3);
  const FeatureCacheStats stats = cache.stats();
  EXPECT_LE(stats.device_bytes + stats.host_bytes, stats.device_budget + stats.host_budget);
  std::printf("%llu pictures: %llu hits, %llu encoded, 0 wrong\n", static_cast<unsigned long long>(kPictures),
              static_cast<unsigned long long>(asked.hits), static_cast<unsigned long long>(asked.encoded));
}

TEST(FeatureCacheNearIdentical, NorFromTheDiskOverRestarts) {
  const test::TempFolder folder;
  const test::NoSyncOs no_sync;
  Asked asked;
  for (int start = 0; start < 3; ++start) {
    FeatureCache cache({.device_bytes = 0, .host_bytes = 64 << 10, .disk_bytes = 512 << 10, .folder = folder / "cache"});
    for (uint64_t number = 0; number < 200; ++number) ASSERT_NO_FATAL_FAILURE(ask(cache, number, asked));
  }
  EXPECT_GT(asked.hits, 200u);
}

}  // namespace
}  // namespace kl
