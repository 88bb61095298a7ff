// libFuzzer target: decodes a file of one format (KL_FUZZ_FORMAT: its first bytes decide, so that mutations stay with one decoder) and prepares what
// comes out. Findings are crashes, sanitizer reports, leaks, slow inputs, and pictures that break their own rules.
//   scripts/fuzz.sh 60 jpeg png webp_bmp builds and runs all three.
#include <cstdint>
#include <cstdlib>
#include <span>

#include "vision/decode.h"
#include "vision/preprocess.h"

namespace {

constexpr kl::DecodeLimits kLimits{1024, 1 << 16, 48U << 20};  // small pictures: many of them a second

void require(bool holds) {
  if (!holds) std::abort();
}

bool of_this_target(kl::ImageFormat format) {
  switch (format) {
    case kl::ImageFormat::jpeg:
      return KL_FUZZ_FORMAT == 0;
    case kl::ImageFormat::png:
      return KL_FUZZ_FORMAT == 1;
    case kl::ImageFormat::webp:
    case kl::ImageFormat::bmp:
      return KL_FUZZ_FORMAT == 2;
  }
  return false;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::span<const std::byte> file(reinterpret_cast<const std::byte*>(data), size);
  const kl::Result<kl::ImageHeader> header = kl::probe_image(file);
  if (header.ok() && !of_this_target(header->format)) return -1;
  const kl::Result<kl::Picture> picture = kl::decode_image(file, kLimits);
  if (!picture.ok()) {
    require(!picture.status().message().empty());
    return 0;
  }
  require(header.ok() && header->width == picture->width && header->height == picture->height);
  require(picture->rgb.size() == size_t{3} * picture->width * picture->height);
  require(picture->width <= kLimits.max_side && picture->height <= kLimits.max_side);
  kl::PreprocessSpec spec{.processor = static_cast<kl::Processor>(size % 6),
                          .filter = kl::Filter::bicubic,
                          .image_size = 28,
                          .patch = 14,
                          .merge = 2,
                          .longest_edge = 56,
                          .min_pixels = 784,
                          .max_pixels = 3136};
  const kl::Result<kl::Prepared> prepared = kl::preprocess(picture->view(), spec, 16U << 20);
  const kl::Result<uint32_t> rows = kl::rows_for(picture->width, picture->height, spec);
  require(!prepared.ok() || rows.ok());
  return 0;
}
