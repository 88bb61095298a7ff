// Kinglet's C boundary: engines and devices. Include <kinglet/kinglet.h>, which states the rules that hold for every call.
#ifndef KINGLET_ENGINE_H
#define KINGLET_ENGINE_H
#include <kinglet/base.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct kl_engine kl_engine;  // one device, the scheduler thread that owns it, and the models opened on it

typedef enum kl_backend {
  KL_BACKEND_AUTO = 0,
  KL_BACKEND_CPU = 1,
  KL_BACKEND_REFERENCE = 2,
  KL_BACKEND_VULKAN = 3,
  KL_BACKEND_CUDA = 4
} kl_backend;

typedef enum kl_log_level { KL_LOG_DEBUG = 0, KL_LOG_INFO = 1, KL_LOG_WARNING = 2, KL_LOG_ERROR = 3 } kl_log_level;

// A log line without line end. Called from any thread; must not call back into the library. `text` is valid during the call.
typedef void (*kl_log_fn)(void* user, kl_log_level level, const char* text);

// Asks the app to call run(task) exactly once, later, on a thread of its choice; must return at once and must not call run itself.
typedef void (*kl_post_fn)(void* user, void (*run)(void* task), void* task);

typedef struct kl_engine_options {
  size_t size;            // sizeof(kl_engine_options)
  int32_t backend;        // kl_backend; AUTO takes the best that passes its self-test, and kl_devices' `why` tells the reason
  int32_t device;         // which device of that backend, counted from 0
  int32_t threads;        // CPU team; 0: one per physical core. 1 to 256
  int32_t min_log_level;  // kl_log_level
  kl_log_fn log;          // null: no log
  void* log_user;
  const char* cache_dir;   // folder for packed weights and self-test verdicts, made when absent; null: nothing is written
  uint64_t memory_budget;  // bytes all models of this engine may take together; 0: no limit. What does not fit is refused with the sizes
  // The feature cache (image.h), bytes per tier; 0: the default (64 MiB, 256 MiB, 1 GiB). Disk needs cache_dir.
  uint64_t feature_device_bytes, feature_host_bytes, feature_disk_bytes;
  int32_t no_feature_cache;       // 1: no picture is remembered longer than it is in use
  int32_t no_feature_disk_cache;  // 1: none is written to disk
  // A device that is lost (a driver reset, a GPU unplugged, a step that does not finish within a minute) is replaced by the next backend: Vulkan after CUDA, the CPU
  // after both. Models are loaded there again when they are next needed; generations, images and evaluations that were running go on from their tokens and pictures,
  // and no token is lost or repeated. Bits after that are the other backend's. 1: no other backend is wanted; what needs the device then fails with KL_DEVICE_LOST.
  int32_t no_fallback;
  int32_t reserved;  // 0
} kl_engine_options;

// Opens a device and starts its scheduler. options may be null (all defaults). On success *engine must go to kl_engine_destroy.
// Errors: KL_NOT_FOUND (no such backend or device), KL_UNSUPPORTED (the device fails its self-test; the message says how), KL_OUT_OF_MEMORY.
KL_API kl_status kl_engine_open(const kl_engine_options* options, kl_engine** engine);

// Stops every generation (each gets its final event, KL_EVENT_STOPPED), ends the threads and frees device memory. Returns when the step in progress is
// over. Handles made from the engine stay valid to be destroyed, in any order; their other calls then return KL_CLOSED. Null is allowed. Any thread,
// callbacks included (then the memory goes when the callback has returned).
KL_API kl_status kl_engine_destroy(kl_engine* engine);

// When an app goes to the background: returns when no step is running and none will start until kl_engine_resume. Generations wait, nothing is lost, the
// text after resume is bit for bit what it would have been. Calls that need the device meanwhile (load, evaluate, measure) return KL_BUSY. Both are
// allowed twice in a row, from any thread.
KL_API kl_status kl_engine_suspend(kl_engine* engine);
KL_API kl_status kl_engine_resume(kl_engine* engine);

typedef enum kl_self_test { KL_SELF_TEST_NOT_RUN = 0, KL_SELF_TEST_PASSED = 1, KL_SELF_TEST_FAILED = 2 } kl_self_test;

// A device, or a backend of this build that has none (then available is 0 and `why` says what is missing). Texts are UTF-8, cut to fit.
typedef struct kl_device_info {
  size_t size;             // sizeof(kl_device_info), set by the caller
  int32_t backend;         // kl_backend
  int32_t device;          // for kl_engine_options::device
  int32_t available;       // 1: can be opened
  int32_t chosen;          // 1: what KL_BACKEND_AUTO takes
  int32_t self_test;       // kl_self_test
  int32_t threads;         // CPU: physical cores; after opening: the size of the team
  uint64_t memory_bytes;   // what the device could hold; 0: unknown
  char backend_name[16];   // "cpu"
  char name[128];          // in the driver's words
  char driver[128];        // driver and version; empty on CPU
  char tier[64];           // capability tier or instruction set: "avx512-vnni"
  char why[256];           // why it is chosen, or why another is better, or what is wrong with it
  char capabilities[256];  // what the tier was chosen from, for people: "subgroups of 32 ...; integer dot, accelerated"; may be empty
} kl_device_info;

// How many entries kl_device_get has. Looks at the machine on every call. Any thread.
KL_API kl_status kl_device_count(size_t* count);
// Entry `index` in order of preference. Errors: KL_NOT_FOUND past the end.
KL_API kl_status kl_device_get(size_t index, kl_device_info* info);
// The device this engine runs on now, and in `why` the reason: what was passed over, or which device was lost before it (kl_engine_stats.devices_lost counts them).
KL_API kl_status kl_engine_device(kl_engine* engine, kl_device_info* info);

// The machine's measured roof with a number of threads: what speeds are to be divided by.
typedef struct kl_roofline {
  size_t size;              // sizeof(kl_roofline), set by the caller
  double read_gb_per_s;     // sequential reads of memory far larger than the caches, 1e9 bytes per second
  double int8_gmac_per_s;   // 8-bit products accumulated, best kernel of this machine, 1e9 per second
  double fp32_gflop_per_s;  // fused multiply-adds count as two, 1e9 per second
} kl_roofline;

// Measures, about a second, on the engine's own threads, between steps. threads: 1 to the team's size, 0: all.
// Errors: KL_UNSUPPORTED (a device without this measurement), KL_BUSY (suspended).
KL_API kl_status kl_engine_measure(kl_engine* engine, int32_t threads, kl_roofline* roofline);

typedef struct kl_engine_stats {
  size_t size;                           // sizeof(kl_engine_stats), set by the caller
  uint64_t steps;                        // since opening
  uint64_t prompt_rows;                  // rows computed for prompts
  uint64_t decode_rows;                  // rows computed for generated tokens
  uint64_t cached_tokens;                // prompt tokens that did not have to be computed
  uint64_t bytes_read;                   // weights and KV, as the ops' descriptions count them
  uint64_t macs;                         // multiply-accumulates, likewise
  double device_s;                       // seconds in steps
  uint64_t models, sessions, sequences;  // open now
  uint64_t generations_running;          // have a place in the KV cache now
  uint64_t generations_waiting;          // wait for one
  uint64_t generations_ended;            // since opening, in whatever way
  uint64_t kv_tokens_used;               // token places in use by sessions and by remembered prefixes, all models
  uint64_t kv_tokens_total;
  uint64_t memory_bytes;    // accounted: weights, KV, workspace of all models
  uint64_t memory_budget;   // 0: no limit
  uint64_t images_waiting;  // for the device, or on it
  uint64_t images_encoded;  // since opening
  double encode_s;          // seconds in their slices
  uint64_t devices_lost;    // since opening; kl_engine_device names the one in use
  uint64_t steps_ahead;     // of `steps`: submitted while the one before was still running, as GPUs are given work
} kl_engine_stats;

// A consistent snapshot. Any thread; does not wait for a step.
KL_API kl_status kl_engine_get_stats(kl_engine* engine, kl_engine_stats* stats);

// The last steps (at most 4,096) as a JSON array of {"model", "start_s", "seconds", "rows", "prompt_rows", "sequences", "bytes", "macs", "status"}.
// *text is the caller's, to be given to kl_free; text_length may be null. Any thread.
KL_API kl_status kl_engine_trace(kl_engine* engine, char** text, size_t* text_length);

#ifdef __cplusplus
}
#endif
#endif
