// The keys of the feature cache: BLAKE2b-256 (RFC 7693, libsodium). A key names everything that decides a row's bits, so equal keys mean
// equal rows; a sample of the pixels or a checksum could collide or be forged. Pure functions; thread-safe.
#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string_view>

#include "vision/features.h"
#include "vision/pixels.h"

namespace kl {

// Hashes labelled fields: each is length of the label, label, length, bytes, so that no two lists of fields share an encoding. Not
// thread-safe.
class KeyHasher {
 public:
  // `purpose` separates kinds of keys: equal fields under two purposes are two keys. Error internal: libsodium did not start.
  static Result<KeyHasher> begin(std::string_view purpose);
  KeyHasher(KeyHasher&&) noexcept;
  KeyHasher& operator=(KeyHasher&&) noexcept;
  ~KeyHasher();

  void field(std::string_view label, std::span<const std::byte> bytes);
  void field(std::string_view label, std::string_view text);
  void field(std::string_view label, uint64_t number);
  // A field in pieces: open_field, then exactly `bytes` bytes with add().
  void open_field(std::string_view label, uint64_t bytes);
  void add(std::span<const std::byte> bytes);
  FeatureKey finish();  // once

 private:
  struct State;
  explicit KeyHasher(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

// What beside the picture decides the rows.
struct FeatureRecipe {
  std::string_view spec;  // PreprocessSpec::text() of the spec before limit_rows: the budget below and the size decide the rest
  uint32_t max_rows = 0;  // kl_image_options::max_rows
  float prune = 0.0f;     // kl_image_options::prune
  std::span<const std::byte> encoder;  // identity: projector file's header and tensor table, backend, activation format
};

// The key of a picture's rows: over its pixels as RGB, upright. RGB, BGR and grey pixels of one look, and opaque RGBA and BGRA ones, give
// one key, whatever the stride; pixels that are not opaque are a key of their own, per `premultiplied`. Errors: invalid_argument (an empty
// view), internal.
Result<FeatureKey> feature_key(const PixelView& picture, bool premultiplied, const FeatureRecipe& recipe);

// The memo's key: over the bytes of a picture's file (FeatureCache::find_source, remember). Error: internal.
Result<FeatureKey> source_key(std::span<const std::byte> file, const FeatureRecipe& recipe);

// Of 64 lower-case digits; nothing for any other text.
std::optional<FeatureKey> key_from_hex(std::string_view hex);

}  // namespace kl
