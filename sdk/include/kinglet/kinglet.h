// Kinglet: an embedded inference engine for language models. This is the one compiled boundary, in C11; <kinglet/kinglet.hpp> is a C++20 layer over it.
//
//   kl_engine* engine; kl_model* model; kl_session* chat; kl_generation* answer;
//   kl_engine_open(NULL, &engine);
//   kl_model_load(engine, "SmolLM2-135M-Instruct.gguf", NULL, &model);
//   kl_session_new(model, NULL, &chat);
//   kl_session_send(chat, "What is the capital of France?", NULL, &answer);
//   for (kl_event e = {.size = sizeof e}; kl_generation_next(answer, -1, &e) == KL_OK && e.kind <= KL_EVENT_TOKEN;) fputs(e.text, stdout);
//
// Rules that hold for every call:
// - Status. Every call returns a kl_status; when it is not KL_OK nothing was changed, out parameters are null or untouched, and kl_last_error says in a
//   sentence what was expected, what came and where. No exception leaves the library, and it never ends the process or prints.
// - Structs begin with their size. Set it to sizeof the struct and leave the rest zero: zero is the default of every field. A program compiled against an older,
//   shorter struct keeps working. A size of 0 gives KL_INVALID_ARGUMENT. Numbers out of their declared range, and NaN, likewise.
// - Handles are keys, not addresses. A null, destroyed or foreign one gives KL_INVALID_ARGUMENT, never undefined behaviour. Each has one owner, who
//   destroys it; destroying twice gives KL_INVALID_ARGUMENT the second time. What a handle depends on may be destroyed before it.
// - Threads. Every call may come from any thread at any time. Calls for one session, sequence or generation exclude each other where stated (KL_BUSY).
// - Strings are UTF-8 and end with a NUL; invalid UTF-8 from the app is taken as bytes where text is tokenized and refused where JSON is parsed.
//   Strings handed out are always valid UTF-8. Strings and arrays handed in are copied before the call returns, kl_source::data excepted, and bare pixels (kl_image_source::pixels).
// - Sizes are bytes, times are seconds, timeouts are milliseconds.
#ifndef KINGLET_KINGLET_H
#define KINGLET_KINGLET_H

#include <kinglet/base.h>
#include <kinglet/engine.h>
#include <kinglet/image.h>
#include <kinglet/model.h>
#include <kinglet/sequence.h>
#include <kinglet/session.h>

#endif
