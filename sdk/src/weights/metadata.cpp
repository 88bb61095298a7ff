// Typed look-ups in GGUF metadata.
#include <algorithm>
#include <numeric>

#include "core/quote.h"
#include "weights/gguf.h"

namespace kl {
namespace {

const char* describe(const Metadata::Entry& entry) {
  if (entry.type != MetaType::array) return name(entry.type);
  switch (std::get<std::shared_ptr<const MetaArray>>(entry.value)->element) {
    case MetaType::string:
      return "an array of strings";
    case MetaType::array:
      return "an array of arrays";
    case MetaType::f32:
      return "an array of f32";
    case MetaType::f64:
      return "an array of f64";
    case MetaType::u64:
      return "an array of u64";
    default:
      return "an array of integers";
  }
}

Status wrong_type(const Metadata::Entry& entry, const char* expected) {
  return error(Code::corrupt, "metadata %s: expected %s, got %s", quoted(entry.key).c_str(), expected, describe(entry));
}

Status absent(std::string_view key, const char* expected) {
  return error(Code::not_found, "metadata %s: expected %s, and the key is absent", quoted(key).c_str(), expected);
}

}  // namespace

const char* name(MetaType type) {
  static constexpr const char* kNames[kMetaTypeCount] = {"u8",   "i8",     "u16",   "i16", "u32", "i32", "f32",
                                                         "bool", "string", "array", "u64", "i64", "f64"};
  const auto index = static_cast<uint32_t>(type);
  return index < kMetaTypeCount ? kNames[index] : "unknown";
}

Status Metadata::index() {
  sorted_.resize(entries.size());
  std::iota(sorted_.begin(), sorted_.end(), 0u);
  std::sort(sorted_.begin(), sorted_.end(), [&](uint32_t a, uint32_t b) { return entries[a].key < entries[b].key; });
  const auto twice =
      std::adjacent_find(sorted_.begin(), sorted_.end(), [&](uint32_t a, uint32_t b) { return entries[a].key == entries[b].key; });
  if (twice == sorted_.end()) return {};
  return error(Code::corrupt, "metadata: expected every key once, got %s twice", quoted(entries[*twice].key).c_str());
}

const Metadata::Entry* Metadata::entry(std::string_view key) const {
  const auto at = std::lower_bound(sorted_.begin(), sorted_.end(), key, [&](uint32_t i, std::string_view k) { return entries[i].key < k; });
  return at != sorted_.end() && entries[*at].key == key ? &entries[*at] : nullptr;
}

const MetaValue* Metadata::find(std::string_view key) const {
  const Entry* found = entry(key);
  return found != nullptr ? &found->value : nullptr;
}

std::optional<MetaType> Metadata::type_of(std::string_view key) const {
  const Entry* found = entry(key);
  return found != nullptr ? std::optional(found->type) : std::nullopt;
}

Result<std::optional<uint64_t>> Metadata::find_uint(std::string_view key, uint64_t min, uint64_t max) const {
  const Entry* found = entry(key);
  if (found == nullptr) return std::optional<uint64_t>();
  const auto out_of_range = [&](const std::string& got) {
    return error(Code::corrupt, "metadata %s: expected %s to %s, got %s", quoted(key).c_str(), with_commas(min).c_str(),
                 with_commas(max).c_str(), got.c_str());
  };
  uint64_t value = 0;
  if (const auto* u = std::get_if<uint64_t>(&found->value)) {
    value = *u;
  } else if (const auto* i = std::get_if<int64_t>(&found->value)) {
    if (*i < 0) return out_of_range(std::to_string(*i));
    value = static_cast<uint64_t>(*i);
  } else {
    return wrong_type(*found, "an integer");
  }
  if (value < min || value > max) return out_of_range(with_commas(value));
  return std::optional(value);
}

Result<std::optional<double>> Metadata::find_float(std::string_view key, double min, double max) const {
  const Entry* found = entry(key);
  if (found == nullptr) return std::optional<double>();
  const auto* value = std::get_if<double>(&found->value);
  if (value == nullptr) return wrong_type(*found, "f32 or f64");
  if (!(*value >= min && *value <= max)) {
    return error(Code::corrupt, "metadata %s: expected %g to %g, got %g", quoted(key).c_str(), min, max, *value);
  }
  return std::optional(*value);
}

Result<std::optional<bool>> Metadata::find_bool(std::string_view key) const {
  const Entry* found = entry(key);
  if (found == nullptr) return std::optional<bool>();
  const auto* value = std::get_if<bool>(&found->value);
  if (value == nullptr) return wrong_type(*found, "bool");
  return std::optional(*value);
}

Result<std::optional<std::string_view>> Metadata::find_string(std::string_view key) const {
  const Entry* found = entry(key);
  if (found == nullptr) return std::optional<std::string_view>();
  const auto* value = std::get_if<std::string_view>(&found->value);
  if (value == nullptr) return wrong_type(*found, "string");
  return std::optional(*value);
}

Result<std::span<const std::string_view>> Metadata::find_strings(std::string_view key) const {
  const Entry* found = entry(key);
  if (found == nullptr) return std::span<const std::string_view>();
  const auto* array = std::get_if<std::shared_ptr<const MetaArray>>(&found->value);
  if (array == nullptr || (*array)->element != MetaType::string) return wrong_type(*found, "an array of strings");
  return std::span<const std::string_view>((*array)->strings);
}

Result<std::span<const float>> Metadata::find_floats(std::string_view key) const {
  const Entry* found = entry(key);
  if (found == nullptr) return std::span<const float>();
  const auto* array = std::get_if<std::shared_ptr<const MetaArray>>(&found->value);
  if (array == nullptr || (*array)->element != MetaType::f32) return wrong_type(*found, "an array of f32");
  return std::span<const float>((*array)->floats);
}

Result<std::span<const int64_t>> Metadata::find_ints(std::string_view key) const {
  const Entry* found = entry(key);
  if (found == nullptr) return std::span<const int64_t>();
  const auto* array = std::get_if<std::shared_ptr<const MetaArray>>(&found->value);
  const bool fits = array != nullptr && (*array)->element != MetaType::string && (*array)->element != MetaType::array &&
                    (*array)->element != MetaType::f32 && (*array)->element != MetaType::f64 && (*array)->element != MetaType::u64;
  if (!fits) return wrong_type(*found, "an array of integers");
  return std::span<const int64_t>((*array)->ints);
}

Result<uint64_t> Metadata::need_uint(std::string_view key, uint64_t min, uint64_t max) const {
  KL_ASSIGN(const std::optional<uint64_t> value, find_uint(key, min, max));
  if (!value) return absent(key, "an integer");
  return *value;
}

Result<std::string_view> Metadata::need_string(std::string_view key) const {
  KL_ASSIGN(const std::optional<std::string_view> value, find_string(key));
  if (!value) return absent(key, "string");
  return *value;
}

}  // namespace kl
