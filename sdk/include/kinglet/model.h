// Kinglet's C boundary: models, their texts, tokenizer and chat template. Include <kinglet/kinglet.h>, which states the rules that hold for every call.
#ifndef KINGLET_MODEL_H
#define KINGLET_MODEL_H
#include <kinglet/engine.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct kl_model kl_model;  // weights in place on a device, shared by sessions

// Where a model is. Exactly one of path, data and has_fd.
typedef struct kl_source {
  size_t size;       // sizeof(kl_source)
  const char* path;  // a GGUF file, or the first part of a split one
  const void* data;  // a whole file in memory: must stay unchanged until the model is destroyed
  size_t data_size;
  int32_t fd;      // an open file; duplicated, the caller keeps its own
  int32_t has_fd;  // 1: fd is meant
} kl_source;

typedef enum kl_kv { KL_KV_DEFAULT = 0, KL_KV_F32 = 1, KL_KV_F16 = 2, KL_KV_Q8 = 3, KL_KV_Q4 = 4 } kl_kv;
typedef enum kl_activations {
  KL_ACTIVATIONS_DEFAULT = 0,
  KL_ACTIVATIONS_F32 = 1,
  KL_ACTIVATIONS_F16 = 2,
  KL_ACTIVATIONS_Q8 = 3
} kl_activations;

// fraction in [0, 1], never decreasing. Called on the thread that loads. Anything but 0 stops the load with KL_CANCELLED.
typedef int32_t (*kl_progress_fn)(void* user, double fraction);

typedef struct kl_model_options {
  size_t size;              // sizeof(kl_model_options)
  uint32_t context;         // tokens of one session; 0: what the model was trained for, at most 4,096
  int32_t kv;               // kl_kv; default: the device's choice (f16 on cpu, f32 on reference)
  int32_t activations;      // kl_activations: what quantized linears round their input to; default: the device's choice
  int32_t no_mmap;          // 1: read the file instead of mapping it
  int32_t vocabulary_only;  // 1: header, tokenizer and template only: no weights, no sessions
  int32_t no_pack_cache;    // 1: do not use the packed weights in cache_dir, nor write them
  uint32_t max_sequences;   // sequences in one step; 0: 32
  uint32_t max_rows;        // rows of the largest step; 0: 512. A prompt is computed in chunks of this
  uint32_t max_logit_rows;  // rows of one step whose logits may be asked for; 0: 64
  uint64_t kv_tokens;       // tokens all sessions together may hold; 0: one full context
  uint64_t memory_budget;   // bytes for this model; 0: what the engine's budget leaves
  const char* cache_dir;    // folder of packed weights; null: the engine's
  kl_progress_fn progress;  // null: none
  void* progress_user;
  const char* projector;              // companion file with the vision encoder ("mmproj" GGUF); null: a model without eyes
  const kl_source* projector_source;  // the same from elsewhere than a path; at most one of the two
} kl_model_options;

// Bytes a model takes with the given options. Read from the header alone.
typedef struct kl_memory_estimate {
  size_t size;              // sizeof(kl_memory_estimate), set by the caller
  uint64_t weights;         // packed weights resident on the device
  uint64_t weights_mapped;  // read in place from the mapped file: clean pages that the system can drop
  uint64_t largest_tensor;  // transient while loading
  uint64_t kv;              // the whole cache
  uint64_t kv_per_token;
  uint64_t workspace;  // activations, scratch, logits, step parameters
  uint64_t total;      // weights + kv + workspace: what counts against a budget
  uint64_t encoder;    // part of weights, weights_mapped aside, and workspace: the projector's
} kl_memory_estimate;

// What loading with these options would take; reads no tensor and allocates nothing large. options may be null.
// Errors: as kl_model_load, but never for the budget.
KL_API kl_status kl_model_estimate(kl_engine* engine, const kl_source* source, const kl_model_options* options,
                                   kl_memory_estimate* estimate);

// Loads a model: blocks until it is ready. A projector's file alone is a model that looks at pictures (kl_image_open) and has no words: other calls that need them
// return KL_UNSUPPORTED.
// Other models' generations wait meanwhile. options may be null. On success *model must go to kl_model_destroy.
// Errors: KL_NOT_FOUND, KL_IO_ERROR, KL_CORRUPT (naming the place in the file), KL_UNSUPPORTED (architecture or tensor type),
// KL_OUT_OF_MEMORY (naming the sizes and the budget), KL_CANCELLED (by progress), KL_BUSY (suspended), KL_CLOSED,
// KL_INVALID_ARGUMENT (a projector whose rows are not as wide as this model's).
KL_API kl_status kl_model_load(kl_engine* engine, const char* path, const kl_model_options* options, kl_model** model);
KL_API kl_status kl_model_load_source(kl_engine* engine, const kl_source* source, const kl_model_options* options, kl_model** model);

// Lets go of the handle: sessions of the model go on; the weights are freed with the last of them. Null is allowed. Any thread.
KL_API kl_status kl_model_destroy(kl_model* model);

typedef struct kl_model_info {
  size_t size;               // sizeof(kl_model_info), set by the caller
  char architecture[32];     // "llama"
  char name[128];            // as the file calls itself; may be empty
  char kv[8];                // KV format in effect: "f16"; empty with vocabulary_only
  char activations[8];       // of quantized linears: "q8"; likewise
  uint32_t vocabulary;       // V
  uint32_t trained_context;  // tokens; 0: not said
  uint32_t context;          // tokens of one session, in effect
  uint32_t layers;
  uint32_t width;                                    // M
  uint32_t max_sequences, max_rows, max_logit_rows;  // in effect
  int32_t bos, eos;                                  // token ids; -1: none
  int32_t adds_bos;                                  // 1: tokenizing a raw text puts bos in front
  int32_t has_chat_template;
  uint32_t stop_count;  // ids that end an answer
  int32_t stop_ids[16];
  uint64_t parameters;    // elements of all tensors
  uint64_t tensors;       // for kl_model_tensor
  uint64_t file_bytes;    // all parts
  uint64_t memory_bytes;  // accounted against the budget, the projector included
  char projector[32];     // kind of the projector it was loaded with: "idefics3"; empty: none, it takes no images
  uint32_t has_projector;
  uint32_t image_rows;     // visual tokens of a picture of 640 x 480
  uint64_t encoder_bytes;  // of memory_bytes
} kl_model_info;

// Any thread.
KL_API kl_status kl_model_get_info(kl_model* model, kl_model_info* info);

// All metadata as one JSON object in file order; arrays longer than max_array become {"array": "<element type>", "length": n}; 0: no limit.
// *text is the caller's, to be given to kl_free; text_length may be null (here and below). Any thread.
KL_API kl_status kl_model_metadata(kl_model* model, size_t max_array, char** text, size_t* text_length);

typedef struct kl_tensor_info {
  size_t size;         // sizeof(kl_tensor_info), set by the caller
  const char* name;    // valid while the model handle is
  const char* format;  // "q4_1"; static
  uint32_t rank;       // 1 to 4
  uint32_t file;       // part of a split model
  uint64_t dims[4];    // dims[0] is contiguous; unused ones are 1
  uint64_t bytes;
  uint64_t offset;  // in that part's file
} kl_tensor_info;

// Tensor `index` in file order. Errors: KL_NOT_FOUND past the end. Any thread.
KL_API kl_status kl_model_tensor(kl_model* model, uint64_t index, kl_tensor_info* info);

typedef enum kl_model_text_kind {
  KL_TEXT_PROGRAM = 1,       // the model as described, op by op
  KL_TEXT_PLAN = 2,          // kernels, memory and barriers for a step of `rows` rows
  KL_TEXT_SUPPORT = 3,       // the kernel chosen for each op, and why the better ones were not
  KL_TEXT_CHAT_TEMPLATE = 4  // the file's Jinja text; KL_NOT_FOUND when it has none
} kl_model_text_kind;

// A text for people. rows: 1 to max_rows, for KL_TEXT_PLAN; else ignored. *text is the caller's, for kl_free. Any thread, between steps.
KL_API kl_status kl_model_text(kl_model* model, int32_t kind, uint32_t rows, char** text, size_t* text_length);

// What a step of `rows` rows, `outputs` of them with logits, over `cached_tokens` tokens of cache in all, reads (bytes) and computes (macs).
// Out pointers may be null. Any thread.
KL_API kl_status kl_model_cost(kl_model* model, uint32_t rows, uint32_t outputs, uint64_t cached_tokens, uint64_t* bytes, uint64_t* macs);

typedef struct kl_tokenize_options {
  size_t size;      // sizeof(kl_tokenize_options)
  int32_t special;  // 1: control-token text becomes control tokens. Only for text that the app itself wrote, never for what users typed
  int32_t no_bos;   // 1: no beginning-of-sequence token whatever the metadata says
} kl_tokenize_options;

// text (text_length bytes of UTF-8; invalid bytes are tokenized as bytes) -> token ids. options may be null. *ids is the caller's, for kl_free. Any thread.
KL_API kl_status kl_tokenize(kl_model* model, const char* text, size_t text_length, const kl_tokenize_options* options, int32_t** ids,
                             size_t* count);

// Token ids -> text, control tokens shown as their text. Bytes that are no UTF-8 become U+FFFD. *text ends with a NUL that text_length does not count;
// for kl_free. Errors: KL_INVALID_ARGUMENT naming the first id that is not in the vocabulary. Any thread.
KL_API kl_status kl_detokenize(kl_model* model, const int32_t* ids, size_t count, char** text, size_t* text_length);

typedef struct kl_render_options {
  size_t size;                // sizeof(kl_render_options)
  const char* context_json;   // object of template variables: {"messages": [...], "add_generation_prompt": true, ...}. Needed
  const char* template_text;  // Jinja; null: the model's own
  const char* now;            // what strftime_now shows, "2026-01-31T12:00:00"; null: the clock
} kl_render_options;

// Applies a chat template. Sandboxed: no host access, limited steps, depth and output. model may be null when template_text is given; with a model,
// bos_token and eos_token are its own unless the context has them. *text is the caller's, for kl_free.
// Errors: KL_INVALID_ARGUMENT (JSON, or raise_exception of the template), KL_UNSUPPORTED (naming the feature), KL_NOT_FOUND (no template). Any thread.
KL_API kl_status kl_render(kl_model* model, const kl_render_options* options, char** text, size_t* text_length);

#ifdef __cplusplus
}
#endif
#endif
