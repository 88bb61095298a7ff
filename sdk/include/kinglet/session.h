// Kinglet's C boundary: sessions and generations. Include <kinglet/kinglet.h>, which states the rules that hold for every call.
#ifndef KINGLET_SESSION_H
#define KINGLET_SESSION_H
#include <kinglet/image.h>

#ifdef __cplusplus
extern "C" {
#endif

// A conversation: messages, and the tokens of them that are in the KV cache. Its states:
//   idle -- send, generate_raw --> generating -- the generation's end --> idle.    While generating, everything but destroy returns KL_BUSY.
typedef struct kl_session kl_session;
// Work in progress. It ends in exactly one way: finished (with a reason), failed (with a status) or stopped.
typedef struct kl_generation kl_generation;

// How the next token is chosen. All zero is greedy. The same seed, session options and inputs give the same tokens whatever runs beside them.
// Order: penalties, then top_k, top_p, min_p on the probabilities at `temperature`, then the draw.
typedef struct kl_sampling {
  size_t size;        // sizeof(kl_sampling)
  float temperature;  // 0: greedy, ties to the lowest id. [0, 100]
  int32_t top_k;      // 0: off. [0, 2^31)
  float top_p;        // 0 or 1: off. [0, 1]
  float min_p;        // least probability, relative to the best; 0: off. [0, 1]
  float
      repeat_penalty;  // logits of tokens seen in the last repeat_window are divided (positive) or multiplied by it; 0 or 1: off. [0, 100]
  float presence_penalty;   // subtracted once from such tokens. [-100, 100]
  float frequency_penalty;  // subtracted once per occurrence. [-100, 100]
  uint32_t repeat_window;   // tokens, prompt included; 0: 64
  uint64_t seed;
} kl_sampling;

typedef struct kl_session_options {
  size_t size;                  // sizeof(kl_session_options)
  const char* system;           // system prompt; null: none (the template may have its own)
  const kl_sampling* sampling;  // default of its generations; null: greedy
  const char* template_json;    // more template variables as an object: {"tools": [...], "enable_thinking": false}; null: none
  const char* template_text;    // Jinja to use instead of the model's own; null: the model's
} kl_session_options;

// A session holds no KV cache before its first generation. options may be null. On success *session must go to kl_session_destroy.
// Errors: KL_INVALID_ARGUMENT (a number out of range, JSON), KL_UNSUPPORTED (a model opened with vocabulary_only, a template feature), KL_CLOSED.
KL_API kl_status kl_session_new(kl_model* model, const kl_session_options* options, kl_session** session);
// Stops its generation, frees its cache. Null is allowed. Any thread, callbacks included.
KL_API kl_status kl_session_destroy(kl_session* session);
// Forgets all messages; the system prompt stays.
KL_API kl_status kl_session_reset(kl_session* session);
// A second session with the same messages and a shared cache (copy on write). It draws from the same seed.
KL_API kl_status kl_session_fork(kl_session* session, kl_session** copy);
// The messages, system prompt included, as a JSON array of {"role", "content", ...}: enough to go on later, or elsewhere. Where images stand, content is an array
// of parts, and an image's is {"type": "image", "image": "<key>"}. *text for kl_free.
KL_API kl_status kl_session_history(kl_session* session, char** text, size_t* text_length);
// Replaces all messages, system prompt included, by such an array. What the new history shares with the cache is not computed again. Images are found by their
// keys in this session and in the engine's feature cache. Errors: KL_NOT_FOUND (naming the first image that is in neither), KL_INVALID_ARGUMENT, KL_BUSY.
KL_API kl_status kl_session_restore(kl_session* session, const char* messages_json);
// The tokens in the session's cache now. *ids for kl_free.
KL_API kl_status kl_session_tokens(kl_session* session, int32_t** ids, size_t* count);

typedef struct kl_send_options {
  size_t size;                  // sizeof(kl_send_options)
  const kl_sampling* sampling;  // null: the session's
  uint32_t max_tokens;          // 0: until the model ends or the context is full
  uint32_t logprobs;            // 0: none; n: log-probabilities of the token and of the n best, at most 64, before sampling settings apply
  int32_t ignore_end;           // 1: end tokens do not end it (to measure)
  uint32_t event_queue;         // events held for a slow reader before the generation waits; 0: 64. 2 to 65536
  const char* const* stop;      // texts that end it; the text before is delivered, the stop text is not
  size_t stop_count;            // at most 64, each 1 to 1,024 bytes
  kl_image* const* images;      // pictures of this message, in order; they may be destroyed when the call has returned
  size_t image_count;           // at most 64
} kl_send_options;

// Adds a user message and starts the answer. Returns at once: the prompt is computed and the answer generated on the engine's thread. When it has ended, the
// answer is part of the history; when it was stopped, what it had generated is; when it failed, or was stopped before the first token, the message is
// taken back. options may be null. On success *generation must go to kl_generation_destroy.
// Errors: KL_BUSY (a generation of this session has not ended), KL_CONTEXT_FULL (the prompt alone does not fit: says the sizes),
// KL_INVALID_ARGUMENT, KL_UNSUPPORTED (images for a model without projector, a template feature), KL_CLOSED.
// Images stand before the text, in order. To place them, use kl_session_send_json with content in parts:
//   {"role": "user", "content": [{"type": "text", "text": "Is"}, {"type": "image"}, {"type": "text", "text": "larger than"}, {"type": "image"}, ...]}
// Each image part takes the next of `images`; their numbers must agree. A part with a key ({"type": "image", "image": "<key>"}) takes none: see kl_session_restore.
// With images, the generation waits until all are READY; one that fails, or is cancelled, fails it with its status. What needs them ready (the prompt's
// length: KL_CONTEXT_FULL; an image too large for one step of a model that looks at it both ways: KL_INVALID_ARGUMENT) is then told by KL_EVENT_FAILED too.
KL_API kl_status kl_session_send(kl_session* session, const char* text, const kl_send_options* options, kl_generation** generation);

// The same with one message object ({"role": "tool", "content": "..."}) or an array of them.
KL_API kl_status kl_session_send_json(kl_session* session, const char* messages_json, const kl_send_options* options,
                                      kl_generation** generation);

typedef struct kl_prompt {
  size_t size;       // sizeof(kl_prompt)
  const char* text;  // UTF-8, text_length bytes; used when ids is null
  size_t text_length;
  const int32_t* ids;  // the tokens themselves
  size_t id_count;
  int32_t special;  // for text: as kl_tokenize_options
  int32_t no_bos;
} kl_prompt;

// Continues a prompt without chat template. The prompt is the whole context: what it shares with the session's cache is not computed again, the rest of
// the cache is dropped. The message history is neither used nor changed. Errors: as kl_session_send; KL_INVALID_ARGUMENT also for an empty prompt.
KL_API kl_status kl_session_generate_raw(kl_session* session, const kl_prompt* prompt, const kl_send_options* options,
                                         kl_generation** generation);

typedef enum kl_event_kind {
  KL_EVENT_NONE = 0,      // nothing came within the timeout
  KL_EVENT_PROGRESS = 1,  // a part of the prompt was computed: prompt_done of prompt_total
  KL_EVENT_TOKEN =
      2,  // a token; its text may be empty (a character not complete, or what could be the start of a stop text) and come with a later one
  KL_EVENT_FINISHED = 3,  // ended by itself: reason
  KL_EVENT_FAILED = 4,    // ended by an error: status, text says what
  KL_EVENT_STOPPED = 5    // ended by kl_generation_cancel, kl_session_destroy or kl_engine_destroy
} kl_event_kind;

typedef enum kl_finish_reason {
  KL_FINISH_NONE = 0,
  KL_FINISH_STOP = 1,         // the model ended its answer
  KL_FINISH_LENGTH = 2,       // max_tokens
  KL_FINISH_STOP_STRING = 3,  // one of the stop texts
  KL_FINISH_CONTEXT_FULL = 4  // the session's context, or the cache all sessions share, has no room for one token more
} kl_finish_reason;

typedef struct kl_token_logprob {
  int32_t token;
  float logprob;  // natural logarithm
} kl_token_logprob;

typedef struct kl_event {
  size_t size;       // sizeof(kl_event), set by the caller
  int32_t kind;      // kl_event_kind
  int32_t reason;    // FINISHED: kl_finish_reason
  kl_status status;  // FAILED
  int32_t token;     // TOKEN: its id; -1: text held back that comes out at the end
  const char* text;  // TOKEN, FAILED; else empty. UTF-8 with a NUL, never null
  size_t text_length;
  float logprob;  // TOKEN with logprobs: of the token; else 0
  uint32_t top_count;
  const kl_token_logprob* top;  // TOKEN with logprobs: best first
  uint32_t prompt_done;         // PROGRESS: tokens, those found in the cache included
  uint32_t prompt_total;
} kl_event;

// The next event; waits up to timeout_ms (0: not at all, negative: for ever). KL_EVENT_NONE when none came. The final event (kinds 3 to 5) comes once from the
// queue and is then repeated by every further call. text and top are valid until the next call for this generation.
// Errors: KL_BUSY (another thread is in this call, or a listener was set), KL_INVALID_ARGUMENT.
KL_API kl_status kl_generation_next(kl_generation* generation, int32_t timeout_ms, kl_event* event);

// Called for every event in order, never two at a time for one generation. The event is valid during the call. May call anything, kl_generation_destroy included.
typedef void (*kl_event_fn)(void* user, kl_generation* generation, const kl_event* event);

typedef struct kl_listener {
  size_t size;  // sizeof(kl_listener)
  kl_event_fn on_event;
  void (*release)(void* user);  // called exactly once, after the last on_event, on the same kind of thread; null: none
  void* user;
  kl_post_fn post;  // where on_event runs; null: on a delivery thread of the engine (8 at most: a callback should not block for long)
  void* post_user;
} kl_listener;

// Events go to a callback from now on, those already waiting first. A callback that takes long slows its own generation only.
// Errors: KL_BUSY (a listener was set already, or another thread is in kl_generation_next).
KL_API kl_status kl_generation_listen(kl_generation* generation, const kl_listener* listener);

// Asks the generation to stop: takes effect at the next step boundary (in a prompt: segment boundary), then KL_EVENT_STOPPED is its final event, unless it ended
// otherwise first. Returns at once; allowed at any time, any number of times, from any thread.
KL_API kl_status kl_generation_cancel(kl_generation* generation);

// Lets go of the handle; a generation that has not ended is stopped, and its session is idle when that has happened. No callback starts after this
// returned, but for `release`. Null is allowed. Any thread, its own callback included.
KL_API kl_status kl_generation_destroy(kl_generation* generation);

typedef struct kl_generation_stats {
  size_t size;             // sizeof(kl_generation_stats), set by the caller
  uint32_t prompt_tokens;  // all of them
  uint32_t cached_tokens;  // of these, found in the cache
  uint32_t generated_tokens;
  uint32_t ended;               // 1: the final event is in the queue or was read
  double queued_s;              // from the call until its first step
  double ttft_s;                // from the call until the first token was sampled; 0: none yet
  double prefill_s;             // wall time of its prompt, from first step to first token
  double decode_s;              // wall time from the first token to the last
  double stalled_s;             // of this, waited for a slow reader
  double prefill_tokens_per_s;  // computed prompt tokens / prefill_s
  double decode_tokens_per_s;   // (generated_tokens - 1) / decode_s
  double time_per_token_s;      // decode_s / (generated_tokens - 1)
  double step_s;                // device time of the decode steps it was part of
  uint64_t decode_steps;
  uint64_t decode_bytes;  // read in these steps, shared with whoever was in them
  uint64_t decode_macs;
  uint64_t prefill_bytes;  // likewise for the steps of its prompt
  uint64_t prefill_macs;
  uint64_t device_changes;  // times that its device was lost and it went on on another (kl_engine_options.no_fallback)
} kl_generation_stats;

// A consistent snapshot, at any time. Any thread.
KL_API kl_status kl_generation_get_stats(kl_generation* generation, kl_generation_stats* stats);

#ifdef __cplusplus
}
#endif
#endif
