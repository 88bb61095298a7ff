// Any bytes as a model file: an error, or a header whose every string and tensor lies inside the bytes; and the vocabulary that it may carry.
#include "weights/gguf.h"
#include "engine/vocabulary_from_gguf.h"
#include "fuzz/fuzz.h"
#include "text/tokenizer.h"

namespace {

uint64_t read_all(const kl::MetaArray& array) {
  uint64_t sum = array.ints.size() + array.unsigneds.size() + array.floats.size() + array.doubles.size();
  for (const std::string_view text : array.strings) {
    for (const char c : text) sum += static_cast<unsigned char>(c);
  }
  for (const auto& inner : array.arrays) sum += read_all(*inner);
  return sum;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const Exact input({data, size});
  const auto gguf = kl::Gguf::open_memory(input.span());
  if (!gguf.ok()) {
    promise(!gguf.status().message().empty());
    return 0;
  }
  uint64_t sum = 0;
  for (const auto& entry : (*gguf)->metadata().entries) {
    promise((*gguf)->metadata().find(entry.key) == &entry.value);
    if (const auto* text = std::get_if<std::string_view>(&entry.value)) sum += text->empty() ? 0 : static_cast<unsigned char>(text->back());
    if (const auto* array = std::get_if<std::shared_ptr<const kl::MetaArray>>(&entry.value)) sum += read_all(**array);
  }
  for (const auto& tensor : (*gguf)->tensors()) {
    const auto bytes = (*gguf)->data(tensor);
    promise(bytes.ok() && bytes->size() == tensor.bytes);
    if (!bytes->empty()) sum += std::to_integer<uint64_t>(bytes->front()) + std::to_integer<uint64_t>(bytes->back());
  }
  promise(sum != UINT64_MAX);  // so that nothing above is optimised away

  const auto vocabulary = kl::vocabulary_from_gguf((*gguf)->metadata());
  if (!vocabulary.ok()) return 0;
  const auto tokenizer = kl::Tokenizer::create(*vocabulary);
  if (!tokenizer.ok()) return 0;
  const auto ids = (*tokenizer)->encode("Once upon a time, 3 little \xe7\x8c\xab\xff <s>", true, {});
  if (!ids.ok()) return 0;
  for (const kl::TokenId id : *ids) promise((*vocabulary)->has(id));
  return 0;
}
