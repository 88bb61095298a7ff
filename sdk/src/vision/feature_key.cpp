#include "vision/feature_key.h"

#include <sodium.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <vector>

namespace kl {
namespace {

// crypto_generichash is BLAKE2b; sodium_init chooses its fastest code for this processor.
bool sodium_ready() {
  static const bool kReady = sodium_init() >= 0;
  return kReady;
}

std::array<std::byte, 8> little_endian(uint64_t number) {
  std::array<std::byte, 8> bytes{};
  for (size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<std::byte>(number >> (8 * i));
  return bytes;
}

std::span<const std::byte> bytes_of(std::string_view text) { return std::as_bytes(std::span(text)); }

}  // namespace

struct KeyHasher::State {
  crypto_generichash_state blake2b;
};

KeyHasher::KeyHasher(std::unique_ptr<State> state) : state_(std::move(state)) {}
KeyHasher::KeyHasher(KeyHasher&&) noexcept = default;
KeyHasher& KeyHasher::operator=(KeyHasher&&) noexcept = default;
KeyHasher::~KeyHasher() = default;

Result<KeyHasher> KeyHasher::begin(std::string_view purpose) {
  static_assert(sizeof(FeatureKey::bytes) == crypto_generichash_BYTES);
  auto state = std::make_unique<State>();
  if (!sodium_ready() || crypto_generichash_init(&state->blake2b, nullptr, 0, crypto_generichash_BYTES) != 0) {
    return error(Code::internal, "libsodium did not start; expected BLAKE2b for the keys of the feature cache");
  }
  KeyHasher hasher(std::move(state));
  hasher.field("purpose", purpose);
  return hasher;
}

void KeyHasher::open_field(std::string_view label, uint64_t bytes) {
  add(little_endian(label.size()));
  add(bytes_of(label));
  add(little_endian(bytes));
}
void KeyHasher::add(std::span<const std::byte> bytes) {
  (void)crypto_generichash_update(&state_->blake2b, reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size());  // never fails
}
void KeyHasher::field(std::string_view label, std::span<const std::byte> bytes) {
  open_field(label, bytes.size());
  add(bytes);
}
void KeyHasher::field(std::string_view label, std::string_view text) { field(label, bytes_of(text)); }
void KeyHasher::field(std::string_view label, uint64_t number) { field(label, std::span<const std::byte>(little_endian(number))); }

FeatureKey KeyHasher::finish() {
  FeatureKey key;
  (void)crypto_generichash_final(&state_->blake2b, key.bytes.data(), key.bytes.size());
  return key;
}

namespace {

void add_recipe(KeyHasher& hasher, const FeatureRecipe& recipe) {
  hasher.field("spec", recipe.spec);
  hasher.field("max_rows", recipe.max_rows);
  hasher.field("prune", std::bit_cast<uint32_t>(recipe.prune == 0.0f ? 0.0f : recipe.prune));  // -0 is 0
  hasher.field("encoder", recipe.encoder);
}

bool opaque(const PixelView& picture) {
  for (uint32_t y = 0; y < picture.height; ++y) {
    const std::byte* line = picture.data + y * picture.stride;
    unsigned all = 255;
    for (uint32_t x = 0; x < picture.width; ++x) all &= std::to_integer<unsigned>(line[size_t{4} * x + 3]);
    if (all != 255) return false;
  }
  return true;
}

// n pixels of a line as RGB, or as RGBA where `out_channels` is 4.
void convert_line(const std::byte* from, PixelFormat format, size_t n, size_t out_channels, std::byte* to) {
  const size_t step = channels(format);
  const bool blue_first = format == PixelFormat::bgr8 || format == PixelFormat::bgra8;
  const size_t red = blue_first ? 2 : 0;
  const size_t green = format == PixelFormat::gray8 ? 0 : 1;
  const size_t blue = format == PixelFormat::gray8 || blue_first ? 0 : 2;
  for (size_t x = 0; x < n; ++x, from += step, to += out_channels) {
    to[0] = from[red];
    to[1] = from[green];
    to[2] = from[blue];
    if (out_channels == 4) to[3] = from[3];
  }
}

}  // namespace

Result<FeatureKey> feature_key(const PixelView& picture, bool premultiplied, const FeatureRecipe& recipe) {
  const size_t in_channels = channels(picture.format);
  if (picture.data == nullptr || picture.width == 0 || picture.height == 0 || picture.stride < in_channels * picture.width) {
    return error(Code::invalid_argument, "expected a picture of at least 1 x 1 pixels, got %u x %u with lines of %zu bytes", picture.width,
                 picture.height, picture.stride);
  }
  KL_ASSIGN(KeyHasher hasher, KeyHasher::begin("kinglet features 1"));
  add_recipe(hasher, recipe);
  hasher.field("width", picture.width);
  hasher.field("height", picture.height);
  const bool alpha = in_channels == 4 && !opaque(picture);
  const size_t out_channels = alpha ? 4 : 3;
  hasher.open_field(!alpha          ? "rgb"
                    : premultiplied ? "rgba premultiplied"
                                    : "rgba",
                    uint64_t{picture.height} * picture.width * out_channels);
  if (picture.format == PixelFormat::rgb8) {
    for (uint32_t y = 0; y < picture.height; ++y) hasher.add({picture.data + y * picture.stride, size_t{3} * picture.width});
    return hasher.finish();
  }
  constexpr size_t kPixels = 4096;  // at a time
  std::vector<std::byte> line(std::min<size_t>(picture.width, kPixels) * out_channels);
  for (uint32_t y = 0; y < picture.height; ++y) {
    for (size_t x = 0; x < picture.width; x += kPixels) {
      const size_t n = std::min<size_t>(picture.width - x, kPixels);
      convert_line(picture.data + y * picture.stride + x * in_channels, picture.format, n, out_channels, line.data());
      hasher.add({line.data(), n * out_channels});
    }
  }
  return hasher.finish();
}

Result<FeatureKey> source_key(std::span<const std::byte> file, const FeatureRecipe& recipe) {
  KL_ASSIGN(KeyHasher hasher, KeyHasher::begin("kinglet source 1"));
  add_recipe(hasher, recipe);
  hasher.field("file", file);
  return hasher.finish();
}

std::optional<FeatureKey> key_from_hex(std::string_view hex) {
  FeatureKey key;
  if (hex.size() != 2 * key.bytes.size()) return std::nullopt;
  for (size_t i = 0; i < hex.size(); ++i) {
    const char c = hex[i];
    const int digit = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
    if (digit < 0) return std::nullopt;
    key.bytes[i / 2] = static_cast<uint8_t>(key.bytes[i / 2] << 4 | digit);
  }
  return key;
}

}  // namespace kl
