#include "pictures.h"

namespace tool {
namespace {

constexpr int32_t kMomentMs = 50;  // between two looks at the progress

const char* tier_name(int32_t tier) {
  switch (tier) {
    case KL_TIER_DEVICE:
      return "device";
    case KL_TIER_HOST:
      return "host";
    case KL_TIER_DISK:
      return "disk";
    default:
      return "none";
  }
}

}  // namespace

void Pictures::add_to(CLI::App& app, Common& common) {
  app.add_option("--image", files, "JPEG, PNG, WebP or BMP file; may be given several times")->expected(1)->take_all();
  app.add_option("--projector", common.projector, "companion GGUF file with the vision encoder");
  app.add_option("--max-image-rows", max_rows, "visual tokens of a picture, at most (default: the model's own)")
      ->check(CLI::Range(1U, 65536U));
  app.add_option("--prune", prune, "fraction of a picture's rows to leave out, those most alike to others first")
      ->check(CLI::Range(0.0F, 0.9F));
  app.add_flag("--unsliced", unsliced, "encode in one go");
  app.add_flag("--no-feature-cache", common.no_feature_cache, "remember no picture and look none up");
}

void Pictures::need_projector(const Common& common) const {
  if (!files.empty() && common.projector.empty()) fail_usage("expected --projector FILE beside --image, it was not given");
}

std::vector<Image> open_pictures(const Pictures& pictures, kl_model* model) {
  auto options = sized<kl_image_options>();
  options.max_rows = pictures.max_rows;
  options.prune = pictures.prune;
  options.unsliced = pictures.unsliced ? 1 : 0;
  std::vector<Image> images(pictures.files.size());
  for (size_t i = 0; i < images.size(); ++i) {
    auto source = sized<kl_image_source>();
    source.path = pictures.files[i].c_str();
    check(kl_image_open(model, &source, &options, images[i].out()));
  }
  return images;
}

kl_image_info info_of(kl_image* image) {
  auto info = sized<kl_image_info>();
  check(kl_image_get_info(image, &info));
  if (info.state == KL_IMAGE_FAILED) check(info.status);
  return info;
}

kl_image_info wait_for(const Common& common, kl_image* image) {
  Progress progress(common, "looking at the picture");
  for (;;) {
    auto info = sized<kl_image_info>();
    check(kl_image_wait(image, kMomentMs, &info));
    if (info.state == KL_IMAGE_FAILED) check(info.status);
    if (info.state == KL_IMAGE_CANCELLED) fail("expected the rows of a picture, the engine stopped its encoding");
    if (info.state == KL_IMAGE_READY) return info;
    progress.show(static_cast<double>(info.progress));
  }
}

std::vector<float> rows_of(kl_image* image, const kl_image_info& info) {
  std::vector<float> rows(static_cast<size_t>(info.rows) * info.row_width);
  check(kl_image_rows(image, rows.data(), rows.size()));
  return rows;
}

std::vector<kl_image*> handles_of(const std::vector<Image>& images) { return {images.begin(), images.end()}; }

Json as_json(const std::string& file, const kl_image_info& info) {
  return {{"file", file},
          {"width", info.width},
          {"height", info.height},
          {"tiles", info.tiles},
          {"rows", info.rows},
          {"row_width", info.row_width},
          {"tier", tier_name(info.tier)},
          {"decoded", info.decoded != 0},
          {"decode_s", info.decode_s},
          {"preprocess_s", info.preprocess_s},
          {"wait_s", info.wait_s},
          {"encode_s", info.encode_s},
          {"key", info.key}};
}

std::string as_text(const std::string& file, const kl_image_info& info) {
  std::string result = text("%s: %u x %u, %u rows of %u %s", file.c_str(), info.width, info.height, info.rows, info.tiles,
                            info.tiles == 1 ? "tile" : "tiles");
  if (info.decoded != 0) result += text(", decoded in %.1f ms, prepared in %.1f ms", 1e3 * info.decode_s, 1e3 * info.preprocess_s);
  if (info.tier == KL_TIER_NONE) return result + text(", encoded in %.1f ms", 1e3 * info.encode_s);
  return result + text(", remembered (%s)", tier_name(info.tier));
}

}  // namespace tool
