// The vocabulary that a GGUF file carries in its metadata (keys tokenizer.ggml.*).
#pragma once
#include <memory>

#include "core/status.h"
#include "text/vocabulary.h"
#include "weights/gguf.h"

namespace kl {

// Error corrupt: a key of another type or outside its range, or what Vocabulary::create finds; unsupported: a tokenizer model or
// pre-tokenizer that this library does not know, named.
Result<std::shared_ptr<const Vocabulary>> vocabulary_from_gguf(const Metadata& metadata);

}  // namespace kl
