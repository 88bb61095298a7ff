// What the subcommands that take pictures share: their options, opening, waiting, and how a picture is reported.
#pragma once
#include <string>
#include <vector>

#include "common.h"

namespace tool {

using Image = Handle<kl_image, kl_image_destroy>;

struct Pictures {
  std::vector<std::string> files;
  uint32_t max_rows = 0;  // 0: the model's own
  float prune = 0;
  bool unsliced = false;

  // --image, --projector and what goes with them; projector and feature cache land in `common`, which loads models and opens engines.
  void add_to(CLI::App& app, Common& common);
  // Usage error when --image is given and --projector is not.
  void need_projector(const Common& common) const;
};

// Begins with every picture, in order; each is worked on in the background.
std::vector<Image> open_pictures(const Pictures& pictures, kl_model* model);
// Waits until the picture is ready, with its progress on standard error; ends the subcommand when it failed.
kl_image_info wait_for(const Common& common, kl_image* image);
kl_image_info info_of(kl_image* image);
std::vector<float> rows_of(kl_image* image, const kl_image_info& info);

// The handles as the C structs want them; they stay the owner's.
std::vector<kl_image*> handles_of(const std::vector<Image>& images);

Json as_json(const std::string& file, const kl_image_info& info);
std::string as_text(const std::string& file, const kl_image_info& info);

}  // namespace tool
