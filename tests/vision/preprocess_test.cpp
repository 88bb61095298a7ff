// Each processor against transformers' own (scripts/goldens/pixels.py preprocess), and what must hold at sizes nobody publishes.
#include "vision/preprocess.h"

#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <set>

#include "vision/picture.h"

namespace kl {
namespace {

using testing::kFilters;
using testing::made_picture;

const std::map<std::string, Processor> kProcessors = {
    {"stretch", Processor::stretch},       {"crop", Processor::crop},      {"pad", Processor::pad}, {"split_tiles", Processor::split_tiles},
    {"whole_tile", Processor::whole_tile}, {"dynamic", Processor::dynamic}};
constexpr uint64_t kRoom = uint64_t{1} << 28;

PreprocessSpec clip_mean(PreprocessSpec spec) {
  constexpr float kMean[3] = {0.48145466F, 0.4578275F, 0.40821073F};
  std::copy(std::begin(kMean), std::end(kMean), spec.mean);
  return spec;
}

// Words 0 to 7 of a golden line.
PreprocessSpec spec_of(const std::vector<std::string>& line) {
  const auto number = [&](size_t i) { return static_cast<uint32_t>(std::stoul(line[i])); };
  PreprocessSpec spec;
  spec.processor = kProcessors.at(line[0]);
  spec.filter = kFilters.at(line[1]);
  spec.image_size = number(2);
  spec.patch = number(3);
  spec.merge = number(4);
  spec.longest_edge = number(5);
  spec.min_pixels = number(6);
  spec.max_pixels = number(7);
  return clip_mean(spec);
}

std::string summary(const Prepared& prepared) {
  uint32_t crc = 0;
  for (const Picture& tile : prepared.tiles) crc = testing::crc32(tile.rgb, crc);
  return format("%u %u %zu %u %u %08x", prepared.grid_rows, prepared.grid_columns, prepared.tiles.size(), prepared.tiles[0].width,
                prepared.tiles[0].height, crc);
}

TEST(Preprocess, EveryProcessorEqualsTransformersToTheLastBit) {
  std::map<std::string, size_t> checked;
  for (const std::vector<std::string>& line : testing::golden_lines("preprocess.txt")) {
    const auto width = static_cast<uint32_t>(std::stoul(line[8]));
    const auto height = static_cast<uint32_t>(std::stoul(line[9]));
    const Result<Prepared> prepared = preprocess(made_picture(width, height).view(), spec_of(line), kRoom);
    const std::string what = line[0] + " " + line[2] + " of " + line[8] + " x " + line[9];
    if (line[10] == "error") {
      EXPECT_EQ(prepared.status().code(), Code::invalid_argument) << what;
      continue;
    }
    ASSERT_TRUE(prepared.ok()) << what << ": " << prepared.status().message();
    std::string expected = line[10];
    for (size_t i = 11; i < line.size(); ++i) expected += " " + line[i];
    EXPECT_EQ(summary(*prepared), expected) << what;
    ++checked[line[0]];
  }
  for (const auto& [name, processor] : kProcessors) EXPECT_GE(checked[name], 18U) << name;
}

// The shapes of the published models, at an eighth of their size.
std::vector<PreprocessSpec> small_specs() {
  std::vector<PreprocessSpec> specs;
  for (const auto& [name, processor] : kProcessors) {
    PreprocessSpec spec;
    spec.processor = processor;
    spec.filter = processor == Processor::stretch ? Filter::bilinear : Filter::bicubic;
    spec.image_size = 56;
    spec.patch = 14;
    spec.merge = 2;
    spec.longest_edge = 224;
    spec.min_pixels = 3136;
    spec.max_pixels = 50176;
    specs.push_back(clip_mean(spec));
  }
  return specs;
}

void expect_sound(uint32_t width, uint32_t height, const PreprocessSpec& spec) {
  const Picture picture = made_picture(width, height);
  const Result<Prepared> prepared = preprocess(picture.view(), spec, kRoom);
  const Result<uint32_t> rows = rows_for(width, height, spec);
  ASSERT_EQ(prepared.ok(), rows.ok()) << width << " x " << height << " " << spec.text();
  if (!prepared.ok()) {
    EXPECT_EQ(spec.processor, Processor::dynamic);
    EXPECT_GT(std::max(width, height), 200 * std::min(width, height)) << prepared.status().message();
    return;
  }
  const uint32_t unit = spec.patch * spec.merge;
  uint64_t count = 0;
  for (const Picture& tile : prepared->tiles) {
    ASSERT_EQ(tile.rgb.size(), size_t{3} * tile.width * tile.height);
    ASSERT_EQ(tile.width % unit, 0U) << width << " x " << height << " " << spec.text();
    ASSERT_EQ(tile.height % unit, 0U);
    count += uint64_t{tile.width / unit} * (tile.height / unit);
  }
  ASSERT_EQ(count, *rows) << width << " x " << height << " " << spec.text();
  ASSERT_EQ(prepared->tiles.size(), prepared->grid_rows * prepared->grid_columns + 1U);
}

TEST(Preprocess, EverySizeFrom1To64IsPrepared) {
  for (const PreprocessSpec& spec : small_specs()) {
    // Every pair of sides for the processors that are quick about it; tiles by a stride that meets every side.
    const bool slow = spec.processor == Processor::split_tiles || spec.processor == Processor::whole_tile;
    for (uint32_t width = 1; width <= 64; ++width) {
      for (uint32_t height = 1 + (slow ? width % 5 : 0); height <= 64; height += slow ? 5 : 1) {
        expect_sound(width, height, spec);
        if (HasFatalFailure()) return;
      }
    }
  }
}

TEST(Preprocess, TwoHundredAspectRatiosArePreparedOrRefused) {
  for (const PreprocessSpec& spec : small_specs()) {
    for (uint32_t i = 1; i <= 100; ++i) {
      const auto longer = static_cast<uint32_t>(4.0 * std::pow(10.0, i / 30.0));  // up to 8,617
      expect_sound(longer, 1 + i % 7, spec);
      expect_sound(1 + i % 7, longer, spec);
      if (HasFatalFailure()) return;
    }
  }
}

// R9 on the size after resizing: a spec from a file can ask for anything.
TEST(Preprocess, MemoryIsRefusedBeforeItIsTaken) {
  const Picture picture = made_picture(64, 2);
  for (PreprocessSpec spec : small_specs()) {
    spec.image_size = 8192;
    spec.longest_edge = 0xffffffff;
    spec.min_pixels = uint64_t{1} << 50;
    spec.max_pixels = uint64_t{1} << 52;
    const Result<Prepared> prepared = preprocess(picture.view(), spec, 1 << 20);
    EXPECT_TRUE(prepared.status().code() == Code::out_of_memory || prepared.status().code() == Code::invalid_argument) << spec.text();
    EXPECT_FALSE(prepared.status().message().empty());
  }
}

TEST(Preprocess, ASpecThatMeansNothingIsRefused) {
  const Picture picture = made_picture(8, 8);
  for (const PreprocessSpec& good : small_specs()) {
    for (const auto& spoil : std::vector<void (*)(PreprocessSpec&)>{
             [](PreprocessSpec& s) { s.patch = 0; }, [](PreprocessSpec& s) { s.merge = 0; },
             [](PreprocessSpec& s) { s.image_size = s.max_pixels = 0; }, [](PreprocessSpec& s) { s.patch = 0xffffffff; }}) {
      PreprocessSpec spec = good;
      spoil(spec);
      EXPECT_EQ(preprocess(picture.view(), spec, kRoom).status().code(), Code::invalid_argument) << spec.text();
      EXPECT_EQ(rows_for(8, 8, spec).status().code(), Code::invalid_argument) << spec.text();
    }
  }
  EXPECT_EQ(preprocess({}, small_specs()[0], kRoom).status().code(), Code::invalid_argument);
  EXPECT_EQ(rows_for(0, 8, small_specs()[0]).status().code(), Code::invalid_argument);
}

TEST(LimitRows, FewerRowsByTheModelsOwnMeans) {
  for (const PreprocessSpec& spec : small_specs()) {
    for (const auto& [width, height] : {std::pair{640U, 480U}, {480U, 640U}, {1000U, 90U}, {64U, 64U}, {3U, 500U}}) {
      const uint32_t least = spec.processor == Processor::dynamic ? 14U : 4U;  // one tile of 2 x 2 rows; 1 x floor(sqrt(200))
      for (const uint32_t most : {4U, 14U, 16U, 20U, 33U, 64U, 100U, 100000U}) {
        const PreprocessSpec limited = limit_rows(spec, width, height, most);
        const Result<uint32_t> rows = rows_for(width, height, limited);
        const Result<uint32_t> before = rows_for(width, height, spec);
        ASSERT_TRUE(rows.ok()) << spec.text();
        EXPECT_LE(*rows, std::max(most, least)) << width << " x " << height << " " << limited.text();
        EXPECT_LE(*rows, *before);
        EXPECT_TRUE(*before > most || limited.text() == spec.text());
        EXPECT_EQ(limit_rows(spec, width, height, 0).text(), spec.text());
      }
    }
  }
}

TEST(LimitRows, AsManyRowsAsFit) {
  PreprocessSpec spec = small_specs()[0];
  spec.processor = Processor::dynamic;
  spec.min_pixels = 784;
  spec.max_pixels = 10000000;
  const PreprocessSpec limited = limit_rows(spec, 1920, 1080, 256);
  EXPECT_EQ(rows_for(1920, 1080, limited).value(), 252U);  // 21 x 12; the next larger is 22 x 12
}

// The text is part of a feature's key: two specs that prepare differently must differ in it.
TEST(PreprocessSpec, ItsTextHasEveryField) {
  std::set<std::string> texts;
  PreprocessSpec spec = small_specs()[0];
  texts.insert(spec.text());
  const std::vector<void (*)(PreprocessSpec&)> changes = {[](PreprocessSpec& s) { s.processor = Processor::pad; },
                                                          [](PreprocessSpec& s) { s.filter = Filter::lanczos; },
                                                          [](PreprocessSpec& s) { ++s.image_size; },
                                                          [](PreprocessSpec& s) { ++s.patch; },
                                                          [](PreprocessSpec& s) { ++s.merge; },
                                                          [](PreprocessSpec& s) { ++s.longest_edge; },
                                                          [](PreprocessSpec& s) { ++s.min_pixels; },
                                                          [](PreprocessSpec& s) { ++s.max_pixels; },
                                                          [](PreprocessSpec& s) { s.mean[0] = std::nextafter(s.mean[0], 1.0F); },
                                                          [](PreprocessSpec& s) { s.mean[1] += 0.1F; },
                                                          [](PreprocessSpec& s) { s.mean[2] += 0.1F; },
                                                          [](PreprocessSpec& s) { s.deviation[0] += 0.1F; },
                                                          [](PreprocessSpec& s) { s.deviation[1] += 0.1F; },
                                                          [](PreprocessSpec& s) { s.deviation[2] += 0.1F; }};
  for (const auto& change : changes) {
    change(spec);
    EXPECT_TRUE(texts.insert(spec.text()).second) << spec.text();
  }
}

}  // namespace
}  // namespace kl
