// Kinglet in C++20: a header-only layer over <kinglet/kinglet.h>, which says what every call does, needs and returns. It adds owning handles, errors as values,
// iteration, callbacks and futures, and nothing that C cannot do. Throws nothing and compiles with -fno-exceptions (std::bad_alloc of the standard library's
// own containers excepted). Handles may move between threads; the C header says which calls exclude each other.
//
//   auto engine = kinglet::Engine::open();
//   if (!engine) return report(engine.error());
//   auto model = engine->load("SmolLM2-135M-Instruct.gguf", {.context = 4096, .kv = kinglet::Kv::q8});
//   if (!model) return report(model.error());
//   auto chat = model->session({.system = "Be brief."});
//   for (auto& piece : chat->send("Hello!")) std::cout << piece.text << std::flush;      // break stops the answer; the session stays usable
//
// With pictures: load(..., {.projector = "mmproj.gguf"}), then
//
//   auto image = model->image("picture.jpg");                                            // looked at in the background from here on
//   for (auto& piece : chat->send("What is in this picture?", {*image})) ...
#ifndef KINGLET_KINGLET_HPP
#define KINGLET_KINGLET_HPP

#include <kinglet/engine.hpp>
#include <kinglet/expected.hpp>
#include <kinglet/generation.hpp>
#include <kinglet/image.hpp>
#include <kinglet/session.hpp>

#endif
