// What the samples share beside the terminal: where to keep things, and how to speak of models and pictures.
#pragma once
#include <kinglet/kinglet.hpp>
#include <string>

namespace app {

// The user's cache folder for this app, as the XDG base directory specification says; empty when there is no home.
std::string cache_dir();

// What the model's file says the model is for, and a warning where a model is so small that it knows nothing else; empty when the file says nothing.
std::string what_it_knows(const kinglet::Model& model);

// "640 x 480, 64 rows: decoded in 3.1 ms, prepared in 0.8 ms, encoded in 41 ms", or where the rows were remembered.
std::string timings(const kl_image_info& image);

}  // namespace app
