// Kinglet's C boundary: pictures. Include <kinglet/kinglet.h>, which states the rules that hold for every call.
#ifndef KINGLET_IMAGE_H
#define KINGLET_IMAGE_H
#include <kinglet/model.h>

#ifdef __cplusplus
extern "C" {
#endif

// A picture on its way to being rows of a model: decoded, prepared and encoded in the background from the moment it is opened, remembered by the engine's
// feature cache. Its states:   decoding -> waiting -> encoding -> ready, from each of them also failed or cancelled.
// A message may name an image in any state: its generation starts when the rows are there.
typedef struct kl_image kl_image;

typedef enum kl_pixel_format {
  KL_PIXELS_RGB8 = 0,
  KL_PIXELS_RGBA8 = 1,  // alpha is composed over white
  KL_PIXELS_BGR8 = 2,
  KL_PIXELS_BGRA8 = 3,
  KL_PIXELS_GRAY8 = 4
} kl_pixel_format;

// Where a picture is. Exactly one of path, data and pixels.
typedef struct kl_image_source {
  size_t size;       // sizeof(kl_image_source)
  const char* path;  // a JPEG, PNG, WebP or BMP file
  const void* data;  // such a file in memory; copied before the call returns
  size_t data_size;
  const void* pixels;  // bare pixels, a camera frame say: not copied, must stay as they are until the image has left KL_IMAGE_DECODING
  uint32_t width, height;
  size_t stride;          // bytes from line to line; 0: lines without gaps
  int32_t pixel_format;   // kl_pixel_format
  int32_t premultiplied;  // 1: colours of RGBA and BGRA are already multiplied by alpha
} kl_image_source;

typedef struct kl_image_options {
  size_t size;  // sizeof(kl_image_options)
  uint32_t
      max_rows;  // visual tokens of this picture, at most: a lower resolution first, then neighbouring rows are averaged; 0: the model's own
  float
      prune;  // fraction of rows to leave out, those most alike to others first, in [0, 0.9]; 0: none. Costs accuracy: docs/vision.md has figures
  int32_t no_cache;  // 1: neither looked up in the feature cache nor remembered by it
  int32_t unsliced;  // 1: encoded in one go, other sessions wait meanwhile; 0: in slices, and text keeps 70 % of the time
} kl_image_options;

// Begins with a picture for a model that was loaded with a projector. Returns at once; what is wrong with the file shows in the state. options may be null.
// On success *image must go to kl_image_destroy. Errors: KL_UNSUPPORTED (a model without projector), KL_INVALID_ARGUMENT, KL_CLOSED.
KL_API kl_status kl_image_open(kl_model* model, const kl_image_source* source, const kl_image_options* options, kl_image** image);

typedef enum kl_image_state {
  KL_IMAGE_DECODING = 0,  // being read, decoded, resized
  KL_IMAGE_WAITING = 1,   // for the device
  KL_IMAGE_ENCODING = 2,
  KL_IMAGE_READY = 3,
  KL_IMAGE_FAILED = 4,
  KL_IMAGE_CANCELLED = 5
} kl_image_state;

// Where the rows came from.
typedef enum kl_feature_tier {
  KL_TIER_NONE = 0 /* they were encoded */,
  KL_TIER_DEVICE = 1,
  KL_TIER_HOST = 2,
  KL_TIER_DISK = 3
} kl_feature_tier;

typedef struct kl_image_info {
  size_t size;             // sizeof(kl_image_info), set by the caller
  int32_t state;           // kl_image_state
  int32_t tier;            // kl_feature_tier; READY
  kl_status status;        // FAILED: why; the call that finds it also sets kl_last_error
  float progress;          // of the encoding, [0, 1]
  uint32_t width, height;  // of the picture, upright; 0 until known
  uint32_t rows;           // visual tokens, without the tokens around them; 0 until known
  uint32_t row_width;      // values in a row
  uint32_t tiles;          // pieces that are encoded
  int32_t decoded;         // 1: the file was decoded; 0: its bytes were known
  double decode_s, preprocess_s, wait_s, encode_s;
  char key[72];  // of the rows in the feature cache, hexadecimal; empty until known
} kl_image_info;

// A consistent snapshot. Any thread.
KL_API kl_status kl_image_get_info(kl_image* image, kl_image_info* info);
// Waits until the image is READY, FAILED or CANCELLED, up to timeout_ms (negative: for ever), then as above; time running out is no error: look at the state.
KL_API kl_status kl_image_wait(kl_image* image, int32_t timeout_ms, kl_image_info* info);
// The rows, float32 [rows row_width] row-major, into the caller's memory of `capacity` floats. Errors: KL_BUSY (not READY yet), KL_INVALID_ARGUMENT (too small), the image's status
// (FAILED), KL_CANCELLED.
KL_API kl_status kl_image_rows(kl_image* image, float* out, size_t capacity);
// Stops the work at the next slice; generations that wait for the image fail with KL_CANCELLED. Returns at once; READY stays READY.
KL_API kl_status kl_image_cancel(kl_image* image);
// Lets go of the handle; messages that name the image keep it, and work that has begun goes on, for the feature cache: kl_image_cancel stops it. Null is
// allowed. Any thread.
KL_API kl_status kl_image_destroy(kl_image* image);

// Bytes and hits of the engine's feature cache, per tier.
typedef struct kl_feature_cache_stats {
  size_t size;  // sizeof(kl_feature_cache_stats), set by the caller
  uint64_t device_bytes, host_bytes, disk_bytes;
  uint64_t device_budget, host_budget, disk_budget;
  uint64_t device_hits, host_hits, disk_hits, misses;
  uint64_t entries, evictions;
  uint64_t disk_errors;  // reads and writes that failed, damaged entries included: each was a miss, none an error
  uint64_t decodes_spared;
} kl_feature_cache_stats;

KL_API kl_status kl_engine_get_feature_cache_stats(kl_engine* engine, kl_feature_cache_stats* stats);
// Forgets every picture, on disk too; what is in use stays with its users and goes with them. Any thread.
KL_API kl_status kl_engine_clear_feature_cache(kl_engine* engine);

#ifdef __cplusplus
}
#endif
#endif
