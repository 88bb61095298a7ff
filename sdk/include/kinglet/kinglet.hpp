// Kinglet in C++20: owning handles, errors as values, iteration, callbacks and futures. Header-only over <kinglet/kinglet.h>; it adds nothing that C cannot do,
// needs no exceptions, and throws nothing of its own (std::bad_alloc of the app's own strings and vectors aside).
//
//   auto engine = kinglet::Engine::open();
//   if (!engine) return report(engine.error());
//   auto model = engine->load("SmolLM2-135M-Instruct.gguf", {.context = 4096, .kv = kinglet::Kv::q8});
//   auto chat  = model->session({.system = "Be brief."});
//   for (auto& piece : chat->send("What is the capital of France?")) std::cout << piece.text << std::flush;
//
// Handles are move-only; destroying one gives back what it owns, and what a handle was made from may be destroyed before it. Threads, units and errors
// of every call are those of the C call it names; see the C headers.
#pragma once
#include <kinglet/engine.hpp>
#include <kinglet/future.hpp>
#include <kinglet/generation.hpp>
#include <kinglet/model.hpp>
#include <kinglet/result.hpp>
#include <kinglet/sequence.hpp>
#include <kinglet/session.hpp>
