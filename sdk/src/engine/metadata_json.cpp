// A model file's metadata as JSON, for people and tools.
#include "engine/model.h"

namespace kl {
namespace {

template <class T, class Convert>
void append(Json& out, const std::vector<T>& values, const Convert& convert) {
  for (const T& v : values) out.array().push_back(Json(convert(v)));
}

Json array_json(const MetaArray& array, size_t max_array) {  // NOLINT(misc-no-recursion): the reader bounds the depth (R11)
  if (max_array > 0 && array.size() > max_array) {
    Json out{Json::Object()};
    out.set("array", Json(name(array.element)));
    out.set("length", Json(static_cast<uint64_t>(array.size())));
    return out;
  }
  Json out{Json::Array()};
  out.array().reserve(array.size());
  if (array.element == MetaType::boolean) {
    append(out, array.ints, [](int64_t v) { return v != 0; });
  } else {
    append(out, array.ints, [](int64_t v) { return v; });
  }
  append(out, array.unsigneds, [](uint64_t v) { return v; });
  append(out, array.floats, [](float v) { return static_cast<double>(v); });
  append(out, array.doubles, [](double v) { return v; });
  append(out, array.strings, [](std::string_view v) { return std::string(v); });
  for (const auto& v : array.arrays) out.array().push_back(v ? array_json(*v, max_array) : Json());
  return out;
}

}  // namespace

std::string metadata_json(const Metadata& metadata, size_t max_array) {
  Json out{Json::Object()};
  for (const Metadata::Entry& entry : metadata.entries) {
    Json value;
    std::visit(
        [&](const auto& v) {
          using T = std::decay_t<decltype(v)>;
          if constexpr (std::is_same_v<T, std::string_view>) {
            value = Json(std::string(v));
          } else if constexpr (std::is_same_v<T, std::shared_ptr<const MetaArray>>) {
            if (v) value = array_json(*v, max_array);
          } else {
            value = Json(v);
          }
        },
        entry.value);
    out.object().emplace_back(std::string(entry.key), std::move(value));  // keys are distinct: no search
  }
  return to_text(out);
}

}  // namespace kl
