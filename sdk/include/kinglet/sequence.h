// Kinglet's C boundary: evaluation without sampling, for programs that want the logits. Include <kinglet/kinglet.h>, which states the common rules.
#ifndef KINGLET_SEQUENCE_H
#define KINGLET_SEQUENCE_H
#include <kinglet/image.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct kl_sequence kl_sequence;  // tokens in a KV cache, and nothing else

// An empty sequence. On success *sequence must go to kl_sequence_destroy. Errors: KL_UNSUPPORTED (vocabulary_only), KL_CLOSED.
KL_API kl_status kl_sequence_new(kl_model* model, kl_sequence** sequence);
KL_API kl_status kl_sequence_destroy(kl_sequence* sequence);
// A second sequence with the same tokens; the cache is shared, copy on write.
KL_API kl_status kl_sequence_fork(kl_sequence* sequence, kl_sequence** copy);
// Tokens it holds.
KL_API kl_status kl_sequence_length(kl_sequence* sequence, uint32_t* length);
// Keeps the first `length` tokens. Errors: KL_INVALID_ARGUMENT (longer than it is, or the tokens a sliding window needs are gone).
KL_API kl_status kl_sequence_truncate(kl_sequence* sequence, uint32_t length);

typedef struct kl_evaluation {
  size_t size;              // sizeof(kl_evaluation), the same in all of an array
  kl_sequence* sequence;    // of the model given; each at most once in an array
  const int32_t* ids;       // [count] appended to the sequence
  size_t count;             // at least 1
  float* logits;            // [logit_rows V] row-major, of the last logit_rows tokens, in the caller's memory; null when logit_rows is 0
  size_t logit_rows;        // at most count
  kl_image* const* images;  // READY images whose rows stand, in order, at the positions whose id is image_token; null: none
  uint32_t image_count;
  int32_t image_token;  // with images: as many ids are this one as the images have rows together
} kl_evaluation;

typedef struct kl_evaluation_stats {
  size_t size;  // sizeof(kl_evaluation_stats), set by the caller
  uint64_t steps;
  double device_s;  // in the steps
  uint64_t bytes;   // read, as the ops' descriptions count them
  uint64_t macs;
} kl_evaluation_stats;

// Appends tokens to one or several sequences and gives the logits after them. All rows of one call are in one step as long as max_rows, max_logit_rows and
// max_sequences allow; otherwise in as few steps as it takes, every sequence advancing. The split never changes a bit of the result.
// All or nothing: on an error every sequence is as it was. Blocks; steps of generations run between its steps. stats may be null.
// Errors: KL_CONTEXT_FULL, KL_OUT_OF_MEMORY (the cache that all sessions share is full), KL_BUSY (a sequence is in another call; suspended),
// KL_INVALID_ARGUMENT (naming the first id that is not in the vocabulary), KL_CLOSED, KL_DEVICE_LOST, KL_INTERNAL (logits that are no numbers).
KL_API kl_status kl_evaluate(kl_model* model, const kl_evaluation* items, size_t item_count, kl_evaluation_stats* stats);

#ifdef __cplusplus
}
#endif
#endif
