// Evaluation without sampling: sdk/include/kinglet/sequence.h.
#include "engine/c_api.h"

using namespace kl;
using namespace kl::c_api;

namespace {

// The ids of item `i`, checked before, with its images' rows where image_token stands.
Result<Content> content_of(const kl_evaluation& given, const Model& model, size_t i) {
  const std::span<const int32_t> ids(given.ids, given.count);
  Content content;
  if (given.image_count == 0) {
    content.push_tokens(ids);
    return content;
  }
  if (!model.vision()) return error(Code::unsupported, "item %zu has images, but the model was loaded without a projector", i);
  if (!given.images) return error(Code::invalid_argument, "item %zu: images is null, but image_count is %u", i, given.image_count);
  size_t at = 0;
  const auto tokens_up_to_a_row = [&] {
    for (; at < ids.size() && ids[at] != given.image_token; ++at) content.push_token(ids[at]);
  };
  for (uint32_t n = 0; n < given.image_count; ++n) {
    KL_ASSIGN(const auto image, find<Image>(given.images[n]));
    if (image->model().get() != &model) return error(Code::invalid_argument, "image %u of item %zu is of another model", n, i);
    if (image->state() == ImageState::failed || image->state() == ImageState::cancelled) return image->status();
    const auto features = image->features();
    if (!features) return error(Code::busy, "image %u of item %zu is not ready", n, i);
    for (size_t block = 0; block < features->blocks.size(); ++block) {
      tokens_up_to_a_row();
      const size_t rows = features->blocks[block].rows;
      const auto row_ids = ids.subspan(at, std::min(rows, ids.size() - at));
      if (row_ids.size() < rows || !std::all_of(row_ids.begin(), row_ids.end(), [&](int32_t id) { return id == given.image_token; })) {
        return error(Code::invalid_argument, "item %zu: %zu rows of image %u were expected from place %zu on, with the id %d", i, rows, n,
                     at, given.image_token);
      }
      content.push_block(features, block, given.image_token);
      at += rows;
    }
  }
  tokens_up_to_a_row();
  if (at < ids.size()) {
    return error(Code::invalid_argument, "item %zu: the id %d at place %zu stands for a row, and its images have no more", i,
                 given.image_token, at);
  }
  return content;
}

}  // namespace

extern "C" {

kl_status kl_sequence_new(kl_model* model, kl_sequence** sequence) {
  return guard([&]() -> Status {
    KL_TRY(clear(sequence, "sequence"));
    KL_ASSIGN(auto m, find<Model>(model));
    KL_ASSIGN(const auto slot, m->slot());
    auto cache = m->engine().scheduler().new_cache(slot, false);
    return give(std::make_shared<SequenceHandle>(std::move(m), std::move(cache)), sequence);
  });
}

kl_status kl_sequence_destroy(kl_sequence* sequence) {
  return guard([&]() -> Status { return take<SequenceHandle>(sequence).status(); });
}

kl_status kl_sequence_fork(kl_sequence* sequence, kl_sequence** copy) {
  return guard([&]() -> Status {
    KL_TRY(clear(copy, "copy"));
    KL_ASSIGN(const auto handle, find<SequenceHandle>(sequence));
    KL_ASSIGN(auto cache, handle->model->engine().scheduler().fork_cache(handle->cache.get()));
    return give(std::make_shared<SequenceHandle>(handle->model, std::move(cache)), copy);
  });
}

kl_status kl_sequence_length(kl_sequence* sequence, uint32_t* length) {
  return guard([&]() -> Status {
    KL_ASSIGN(const auto handle, find<SequenceHandle>(sequence));
    if (!length) return error(Code::invalid_argument, "length is null");
    KL_ASSIGN(const auto tokens, handle->model->engine().scheduler().cache_tokens(handle->cache.get()));
    *length = static_cast<uint32_t>(tokens.size());
    return {};
  });
}

kl_status kl_sequence_truncate(kl_sequence* sequence, uint32_t length) {
  return guard([&]() -> Status {
    KL_ASSIGN(const auto handle, find<SequenceHandle>(sequence));
    return handle->model->engine().scheduler().truncate_cache(handle->cache.get(), length);
  });
}

kl_status kl_evaluate(kl_model* model, const kl_evaluation* items, size_t item_count, kl_evaluation_stats* stats) {
  return guard([&]() -> Status {
    KL_ASSIGN(const auto m, find<Model>(model));
    KL_ASSIGN(const auto slot, m->slot());
    if (stats) KL_TRY(check_out_struct(stats, "kl_evaluation_stats"));
    if (!items) return error(Code::invalid_argument, "items is null");
    KL_TRY(ranged("item_count", static_cast<int64_t>(std::min<size_t>(item_count, INT64_MAX)), 1, 65536).status());
    size_t stride = 0;
    std::memcpy(&stride, static_cast<const void*>(items), sizeof stride);
    std::vector<std::shared_ptr<SequenceHandle>> held;
    std::vector<EvaluationItem> work;
    for (size_t i = 0; i < item_count; ++i) {
      kl_evaluation given;
      KL_TRY(read_struct(reinterpret_cast<const kl_evaluation*>(reinterpret_cast<const unsigned char*>(items) + i * stride),
                         "kl_evaluation", false, given));
      if (given.size != stride)
        return error(Code::invalid_argument, "kl_evaluation %zu has size %zu, the first has %zu", i, given.size, stride);
      KL_ASSIGN(auto sequence, find<SequenceHandle>(given.sequence));
      if (sequence->model != m) return error(Code::invalid_argument, "the sequence of item %zu is of another model", i);
      for (const auto& other : held) {
        if (other == sequence) return error(Code::invalid_argument, "the sequence of item %zu is there twice", i);
      }
      if (!given.ids || given.count == 0) return error(Code::invalid_argument, "item %zu has no token ids", i);
      if (given.count > m->context)
        return error(Code::context_full, "item %zu has %zu tokens, the context is %u", i, given.count, m->context);
      if (given.logit_rows > given.count)
        return error(Code::invalid_argument, "item %zu asks for logits of %zu of %zu tokens", i, given.logit_rows, given.count);
      if (given.logit_rows > 0 && !given.logits)
        return error(Code::invalid_argument, "item %zu: logits is null, but logit_rows is %zu", i, given.logit_rows);
      if (reinterpret_cast<uintptr_t>(given.logits) % alignof(float) != 0 ||
          reinterpret_cast<uintptr_t>(given.ids) % alignof(int32_t) != 0) {
        return error(Code::invalid_argument, "item %zu: ids or logits is not aligned", i);
      }
      for (size_t k = 0; k < given.count; ++k) {
        if (given.ids[k] < 0 || static_cast<uint32_t>(given.ids[k]) >= slot->vocabulary_size) {
          return error(Code::invalid_argument, "item %zu: token %d at place %zu is not in the vocabulary of %u", i, given.ids[k], k,
                       slot->vocabulary_size);
        }
      }
      KL_ASSIGN(Content content, content_of(given, *m, i));
      work.push_back({sequence->cache.get(), std::move(content), given.logits, given.logit_rows});
      held.push_back(std::move(sequence));
    }
    KL_ASSIGN(const EvaluationStats done, m->engine().scheduler().evaluate(work));
    if (stats) write_struct(kl_evaluation_stats{0, done.steps, done.device_s, done.bytes, done.macs}, stats);
    return {};
  });
}

}  // extern "C"
