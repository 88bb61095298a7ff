// A model file's metadata as JSON, for people and tools.
#include "engine/model.h"

namespace kl {
namespace {

Json array_json(const MetaArray& array, size_t max_array) {
  if (max_array > 0 && array.size() > max_array) return {{"array", name(array.element)}, {"length", array.size()}};
  Json out = Json::array();
  for (const auto v : array.ints) array.element == MetaType::boolean ? out.push_back(v != 0) : out.push_back(v);
  for (const auto v : array.unsigneds) out.push_back(v);
  for (const auto v : array.floats) out.push_back(v);
  for (const auto v : array.doubles) out.push_back(v);
  for (const auto v : array.strings) out.push_back(std::string(v));
  for (const auto& v : array.arrays) out.push_back(v ? array_json(*v, max_array) : Json());  // depth is bounded by the reader (R11)
  return out;
}

}  // namespace

std::string metadata_json(const Metadata& metadata, size_t max_array) {
  Json out = Json::object();
  for (const Metadata::Entry& entry : metadata.entries) {
    Json value;
    std::visit(
        [&](const auto& v) {
          using T = std::decay_t<decltype(v)>;
          if constexpr (std::is_same_v<T, std::string_view>) {
            value = std::string(v);
          } else if constexpr (std::is_same_v<T, std::shared_ptr<const MetaArray>>) {
            if (v) value = array_json(*v, max_array);
          } else {
            value = v;
          }
        },
        entry.value);
    out.push_back(Json::object_t::value_type(std::string(entry.key), std::move(value)));
  }
  return to_text(out);
}

}  // namespace kl
