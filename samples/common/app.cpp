#include "app.h"

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <nlohmann/json.hpp>

namespace app {
namespace {

std::string milliseconds(double seconds) {
  char text[32];
  std::snprintf(text, sizeof text, seconds < 0.01 ? "%.1f ms" : "%.0f ms", 1e3 * seconds);
  return text;
}

}  // namespace

std::string cache_dir() {
  std::filesystem::path base;
  if (const char* cache = std::getenv("XDG_CACHE_HOME"); cache != nullptr && *cache == '/') {
    base = cache;
  } else if (const char* home = std::getenv("HOME"); home != nullptr && *home == '/') {
    base = std::filesystem::path(home) / ".cache";
  } else {
    return {};
  }
  std::error_code ignored;  // a new account has no such folder yet; what is wrong with it is said when it is used
  std::filesystem::create_directories(base, ignored);
  return (base / "kinglet").string();
}

std::string what_it_knows(const kinglet::Model& model) {
  constexpr uint64_t kNarrow = 50'000'000;  // parameters under which a model can know its one subject at most
  const auto text = model.metadata(1);
  if (!text) return {};
  const auto metadata = nlohmann::json::parse(*text, nullptr, false);
  if (!metadata.is_object()) return {};
  const auto found = metadata.find("general.description");
  if (found == metadata.end() || !found->is_string()) return {};
  std::string knows = "The model's file says: \"" + found->get<std::string>() + "\".";
  const uint64_t parameters = model.info().parameters;
  if (parameters < kNarrow) {
    char warning[120];
    std::snprintf(warning, sizeof warning, " With %.0f million parameters it knows nothing else, and answers nonsense there.",
                  static_cast<double>(parameters) / 1e6);
    knows += warning;
  }
  return knows;
}

std::string timings(const kl_image_info& image) {
  std::string text = std::to_string(image.width) + " x " + std::to_string(image.height) + ", " + std::to_string(image.rows) + " rows: ";
  text += image.decoded != 0 ? "decoded in " + milliseconds(image.decode_s) + ", prepared in " + milliseconds(image.preprocess_s) + ", "
                             : std::string("known file, ");
  switch (image.tier) {
    case KL_TIER_DEVICE:
      return text + "remembered on the device";
    case KL_TIER_HOST:
      return text + "remembered in memory";
    case KL_TIER_DISK:
      return text + "remembered on disk";
    default:
      return text + "encoded in " + milliseconds(image.encode_s);
  }
}

}  // namespace app
