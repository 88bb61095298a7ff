// Files from strangers: bombs, cut-off files, flipped bits. Nothing crashes, and memory stays inside what the limits say.
#include <gtest/gtest.h>

#include <chrono>
#include <cstring>

#include "vision/decode.h"
#include "vision/heap.h"
#include "vision/picture.h"
#include "vision/preprocess.h"

namespace kl {
namespace {

using testing::bytes_of;
using testing::HeapPeak;
using testing::image_files;
using testing::images;

using Bytes = std::vector<uint8_t>;

void put(Bytes& to, std::string_view text) {
  for (const char c : text) to.push_back(static_cast<uint8_t>(c));
}
void put_bytes(Bytes& to, std::span<const uint8_t> bytes) {
  for (const uint8_t byte : bytes) to.push_back(byte);
}
void put_big(Bytes& to, uint32_t value, int bytes) {
  for (int i = bytes - 1; i >= 0; --i) to.push_back(static_cast<uint8_t>(value >> 8 * i));
}
void put_little(Bytes& to, uint32_t value, int bytes) {
  for (int i = 0; i < bytes; ++i) to.push_back(static_cast<uint8_t>(value >> 8 * i));
}

void put_chunk(Bytes& to, std::string_view type, const Bytes& data) {
  Bytes body;
  put(body, type);
  put_bytes(body, data);
  put_big(to, static_cast<uint32_t>(data.size()), 4);
  put_bytes(to, body);
  put_big(to, testing::crc32(body), 4);
}

Bytes png_bomb(uint32_t side, uint8_t interlace) {
  Bytes file;
  put(file, "\x89PNG\r\n\x1a\n");
  Bytes header;
  put_big(header, side, 4);
  put_big(header, side, 4);
  put_bytes(header, Bytes{8, 6, 0, 0, interlace});
  put_chunk(file, "IHDR", header);
  put_chunk(file, "IDAT", Bytes(900, 0x78));
  return file;
}

Bytes jpeg_bomb(uint32_t side, uint8_t sof) {
  Bytes file = {0xff, 0xd8, 0xff, sof, 0, 17, 8};
  put_big(file, side, 2);
  put_big(file, side, 2);
  put_bytes(file, Bytes{3, 1, 0x22, 0, 2, 0x11, 0, 3, 0x11, 0});
  put_bytes(file, Bytes{0xff, 0xda, 0, 12, 3, 1, 0, 2, 0, 3, 0, 0, static_cast<uint8_t>(sof == 0xc2 ? 0 : 63), 0});
  file.resize(1024, 0x55);
  return file;
}

Bytes bmp_bomb(uint32_t side, uint32_t bits, uint32_t compression) {
  Bytes file;
  put(file, "BM");
  for (const uint32_t value : {1024U, 0U, 54U, 40U, side, side}) put_little(file, value, 4);
  put_little(file, 1, 2);
  put_little(file, bits, 2);
  put_little(file, compression, 4);
  file.resize(1024);
  return file;
}

Bytes webp_bomb(uint32_t side, const char* kind) {
  Bytes file;
  put(file, "RIFF");
  put_little(file, 1016, 4);
  put(file, "WEBP");
  if (std::strcmp(kind, "VP8X") == 0) {
    put(file, "VP8X");
    put_little(file, 10, 4);
    put_little(file, 0, 4);
    put_little(file, side - 1, 3);
    put_little(file, side - 1, 3);
    put(file, "VP8L");
    put_little(file, static_cast<uint32_t>(1024 - file.size() - 4), 4);
    file.push_back(0x2f);
    put_little(file, (side - 1) % 16384 | (side - 1) % 16384 << 14, 4);
  } else {
    put(file, "VP8L");
    put_little(file, static_cast<uint32_t>(1024 - file.size() - 4), 4);
    file.push_back(0x2f);
    put_little(file, (side - 1) | (side - 1) << 14, 4);
  }
  file.resize(1024);
  return file;
}

Result<Picture> decode(const Bytes& file, const DecodeLimits& limits = {}) { return decode_image(std::as_bytes(std::span(file)), limits); }

TEST(Bombs, AreRefusedFromTheHeaderWithinTenMillisecondsAndOneMebibyte) {
  const std::vector<std::pair<const char*, Bytes>> bombs = {{"PNG", png_bomb(50000, 0)},       {"interlaced PNG", png_bomb(50000, 1)},
                                                            {"JPEG", jpeg_bomb(50000, 0xc0)},  {"progressive", jpeg_bomb(50000, 0xc2)},
                                                            {"BMP", bmp_bomb(50000, 24, 0)},   {"BMP with runs", bmp_bomb(50000, 8, 1)},
                                                            {"WebP", webp_bomb(50000, "VP8X")}};
  for (const auto& [name, file] : bombs) {
    ASSERT_LE(file.size(), 1024U);
    (void)decode(file);  // what is loaded once, is
    const HeapPeak heap;
    const auto begin = std::chrono::steady_clock::now();
    const Result<Picture> picture = decode(file);
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
    EXPECT_FALSE(picture.ok()) << name;
    // libwebp does not take a canvas of that many pixels for a WebP file at all.
    EXPECT_EQ(picture.status().code(), std::string_view(name) == "WebP" ? picture.status().code() : Code::out_of_memory)
        << picture.status().message();
    EXPECT_LE(seconds, 0.010) << name;
    EXPECT_LE(heap.bytes(), size_t{1} << 20) << name;
  }
}

// A size inside the limits that so small a file cannot hold is found out before the picture is allocated.
TEST(Bombs, SmallFilesOfLargePicturesAreCutOffOnes) {
  for (const Bytes& file : {png_bomb(9000, 0), png_bomb(9000, 1), jpeg_bomb(9000, 0xc0), jpeg_bomb(9000, 0xc2), bmp_bomb(9000, 24, 0)}) {
    const HeapPeak heap;
    EXPECT_EQ(decode(file).status().code(), Code::corrupt);
    EXPECT_LE(heap.bytes(), size_t{1} << 20);
  }
}

TEST(Limits, EachIsHeld) {
  const std::vector<std::byte> file = bytes_of(images() / "pillow/hopper.jpg");  // 128 x 128
  const auto code = [&](const DecodeLimits& limits) { return decode_image(file, limits).status().code(); };
  EXPECT_EQ(code({}), Code::ok);
  EXPECT_EQ(code({128, 128 * 128, 1 << 20}), Code::ok);
  EXPECT_EQ(code({127, 128 * 128, 1 << 20}), Code::out_of_memory);
  EXPECT_EQ(code({128, 128 * 128 - 1, 1 << 20}), Code::out_of_memory);
  EXPECT_EQ(code({128, 128 * 128, 1 << 14}), Code::out_of_memory);
  EXPECT_EQ(code({0, 0, 0}), Code::out_of_memory);
}

// max_bytes is what is in use at most, not a wish: at the smallest value that lets a file through, its decoder stays below.
TEST(Limits, MaxBytesIsTheMostThatIsUsed) {
  if (!testing::heap_is_counted()) GTEST_SKIP() << "the sanitizer's malloc is not counted";
  size_t checked = 0;
  for (const std::string& name : image_files()) {
    const std::vector<std::byte> file = bytes_of(images() / name);
    if (!decode_image(file, {}).ok()) continue;
    DecodeLimits limits;
    uint64_t low = 0;
    uint64_t high = uint64_t{64} << 20;
    while (low + 1 < high) {
      limits.max_bytes = (low + high) / 2;
      (decode_image(file, limits).ok() ? high : low) = limits.max_bytes;
    }
    limits.max_bytes = high;
    const HeapPeak heap;
    const Result<Picture> picture = decode_image(file, limits);
    ASSERT_TRUE(picture.ok()) << name;
    EXPECT_GE(heap.bytes(), picture->rgb.size()) << "the counter counts";
    EXPECT_LE(heap.bytes(), high + file.size()) << name;  // EXIF blocks are copied out of the file
    ++checked;
  }
  EXPECT_GT(checked, 180U);
}

TEST(Limits, PreprocessingStaysInItsRoom) {
  if (!testing::heap_is_counted()) GTEST_SKIP() << "the sanitizer's malloc is not counted";
  for (const Processor processor :
       {Processor::stretch, Processor::crop, Processor::pad, Processor::split_tiles, Processor::whole_tile, Processor::dynamic}) {
    PreprocessSpec spec{.processor = processor,
                        .filter = Filter::lanczos,
                        .image_size = 128,
                        .patch = 8,
                        .merge = 2,
                        .longest_edge = 512,
                        .min_pixels = 3136,
                        .max_pixels = 1 << 20};
    for (const auto& [width, height] : {std::pair{1000U, 700U}, {50U, 70U}, {2000U, 12U}, {1U, 1U}, {128U, 128U}}) {
      const Picture picture = testing::made_picture(width, height);
      uint64_t low = 0;
      uint64_t high = uint64_t{64} << 20;
      while (low + 1024 < high) {
        const uint64_t middle = (low + high) / 2;
        (preprocess(picture.view(), spec, middle).ok() ? high : low) = middle;
      }
      const HeapPeak heap;
      ASSERT_TRUE(preprocess(picture.view(), spec, high).ok());
      EXPECT_LE(heap.bytes(), high + 4096) << spec.text() << " " << width << " x " << height;
    }
  }
}

// A prefix of a picture is an error, unless what is missing says nothing about the pixels; then they are the same.
TEST(Damage, NoTruncationIsHalfAPicture) {
  constexpr size_t kEveryLength = 600;
  constexpr size_t kSamples = 60;
  size_t decoded = 0;
  for (const std::string& name : image_files()) {
    const std::vector<std::byte> file = bytes_of(images() / name);
    const Result<Picture> whole = decode_image(file, {});
    const size_t step = file.size() <= kEveryLength ? 1 : file.size() / kSamples;
    for (size_t length = 0; length < file.size(); length += step) {
      const std::vector<std::byte> prefix(file.begin(), file.begin() + static_cast<ptrdiff_t>(length));
      const Result<Picture> picture = decode_image(prefix, {});
      (void)probe_image(prefix);
      ++decoded;
      if (picture.ok()) {
        ASSERT_TRUE(whole.ok()) << name << " at " << length;
        ASSERT_TRUE(picture->width == whole->width && picture->rgb == whole->rgb) << name << " at " << length;
        ASSERT_GE(length + 4, file.size()) << name << ": more than padding is missing";
      }
    }
  }
  EXPECT_GT(decoded, 20000U);
}

TEST(Damage, AHundredThousandFlippedBitsCrashNothingAndTakeNoMoreThanAllowed) {
  const DecodeLimits limits{4096, 1 << 21, uint64_t{64} << 20};
  std::vector<std::vector<std::byte>> files;
  for (const std::string& name : image_files()) {
    std::vector<std::byte> file = bytes_of(images() / name);
    if (file.size() <= 8192) files.push_back(std::move(file));
  }
  ASSERT_GT(files.size(), 200U);
  testing::Random random(20261124);
  size_t survived = 0;
  size_t most = 0;
  for (size_t i = 0; i < 100000; ++i) {
    std::vector<std::byte> file = files[random.below(files.size())];
    for (uint64_t flips = 1 + random.below(4); flips > 0; --flips) {
      // Half of them in the first 64 bytes, where sizes and kinds are.
      const size_t at = random.below(random.below(2) == 0 ? std::min<size_t>(64, file.size()) : file.size());
      file[at] ^= std::byte{1} << random.below(8);
    }
    const HeapPeak heap;
    const Result<Picture> picture = decode_image(file, limits);
    most = std::max(most, heap.bytes());
    if (!picture.ok()) continue;
    ++survived;
    ASSERT_EQ(picture->rgb.size(), size_t{3} * picture->width * picture->height);
    ASSERT_LE(uint64_t{picture->width} * picture->height, limits.max_pixels);
  }
  EXPECT_LE(most, limits.max_bytes + (size_t{1} << 20));
  EXPECT_GT(survived, 1000U);
  RecordProperty("survived", static_cast<int>(survived));
  RecordProperty("most_bytes", static_cast<int>(most));
}

}  // namespace
}  // namespace kl
