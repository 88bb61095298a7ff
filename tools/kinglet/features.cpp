// kinglet features: what a decoder sees of pictures, the rows of vision encoder and projector, as a NumPy file.
#include "common.h"
#include "npy.h"
#include "pictures.h"

namespace tool {
namespace {

struct Features {
  Common common;
  Pictures pictures;
  std::string out;
};

void run(Features options) {
  if (options.common.projector.empty()) fail_usage("expected --projector FILE, it was not given");
  if (options.common.model.empty()) options.common.model = std::exchange(options.common.projector, {});  // a projector alone can look
  const Engine engine = open_engine(options.common, options.common.threads_or_default());
  const Model model = load_model(options.common, engine, model_options(options.common, options.common.kv_or_default()));
  const std::vector<Image> images = open_pictures(options.pictures, model);
  std::vector<kl_image_info> infos;
  uint64_t rows = 0;
  for (const Image& image : images) {
    infos.push_back(wait_for(options.common, image));
    rows += infos.back().rows;
  }
  NpyWriter file(options.out, rows, infos.front().row_width);
  for (size_t i = 0; i < images.size(); ++i) file.append(rows_of(images[i], infos[i]));
  file.finish();

  Json pictures = Json::array();
  for (size_t i = 0; i < images.size(); ++i) {
    note(options.common, "%s", as_text(options.pictures.files[i], infos[i]).c_str());
    pictures.push_back(as_json(options.pictures.files[i], infos[i]));
  }
  if (options.common.json) print_json({{"out", options.out}, {"shape", {rows, infos.front().row_width}}, {"images", pictures}});
}

}  // namespace

void add_features(CLI::App& app) {
  auto options = std::make_shared<Features>();
  CLI::App* command = app.add_subcommand("features", "the rows that a vision encoder and its projector make of pictures, as a NumPy file");
  options->common.add_to(*command);
  options->pictures.add_to(*command, options->common);
  command->get_option("--image")->required();
  command->add_option("--out", options->out, "float32 .npy, shape [rows, width], the pictures' rows in order")->required();
  command->callback([options] { run(*options); });
}

}  // namespace tool
