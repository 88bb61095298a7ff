// Kinglet's C boundary, the part every other header stands on: status codes, last error, export macro. Include <kinglet/kinglet.h>.
#ifndef KINGLET_BASE_H
#define KINGLET_BASE_H
#include <stddef.h>
#include <stdint.h>

#if defined(_WIN32)
#define KL_API
#else
#define KL_API __attribute__((visibility("default")))
#endif

#ifdef __cplusplus
extern "C" {
#endif

// What a call came to. The numbers never change.
typedef enum kl_status {
  KL_OK = 0,
  KL_INVALID_ARGUMENT = 1,  // outside the declared range; a null, destroyed or foreign handle
  KL_NOT_FOUND = 2,         // a file, key or name does not exist
  KL_IO_ERROR = 3,          // the operating system refused a read or write
  KL_CORRUPT = 4,           // a file breaks its own format
  KL_UNSUPPORTED = 5,       // well-formed, but not something this build can do
  KL_OUT_OF_MEMORY = 6,     // the allocator or the app's memory budget refused
  KL_CONTEXT_FULL = 7,      // a sequence has no room left
  KL_CANCELLED = 8,         // stopped by the app
  KL_BUSY = 9,              // the object is in use by another call or generation
  KL_CLOSED = 10,           // what the object depends on was destroyed
  KL_DEVICE_LOST = 11,      // the device stopped working
  KL_INTERNAL = 12          // a bug of this library
} kl_status;

// "out of memory" for KL_OUT_OF_MEMORY; "unknown" for other numbers. Static text, any thread.
KL_API const char* kl_status_name(kl_status status);

// What went wrong in the last call on this thread that did not return KL_OK: what was expected, what came, where. UTF-8, never null, empty before
// the first error. Valid until the next call of this library on this thread. Calls that succeed leave it as it is.
KL_API const char* kl_last_error(void);

// "0.1.0". Static text, any thread.
KL_API const char* kl_version(void);

// Frees what a call handed out through a `char**` or `int32_t**`. Null is allowed. Any thread.
KL_API void kl_free(void* memory);

#ifdef __cplusplus
}
#endif
#endif
