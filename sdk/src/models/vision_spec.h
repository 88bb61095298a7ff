// An encoder's hyperparameters, read from the projector's file (clip.* keys) and validated against declared ranges (R8), and what its
// projector kind decides beyond them: how pictures are sized and what text stands around an image. Plain numbers: nothing here knows pixels
// or text processing. Dimension letters: T patches (rows) of one tile, M width, F FFN width, H heads, D head size, N width of a result row
// (the decoder's M), U result rows.
#pragma once
#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "ir/op.h"

namespace kl {

// How a picture becomes tiles (vision/preprocess.h has the rules).
enum class TileRule : uint8_t { stretch, crop, pad, split, whole, dynamic };
enum class TileFilter : uint8_t { bilinear, bicubic, lanczos };

// What stands around an image in the prompt, as text in which special tokens are recognised. {r} and {c} are a tile's row and column, from
// 1.
struct ImageText {
  const char* placeholder = "";  // the token by which a chat template marks an image; it is replaced by all that follows
  const char* before = "";       // an image of one tile
  const char* tile = "";         // before a tile of an image cut into several
  const char* row_end = "";      // behind the last tile of a row
  const char* whole = "";        // before the whole picture that follows its tiles
  const char* after = "";        // behind the last row of features
  const char* bare_before = "";  // in addition, where no template wrote anything around the placeholder
  const char* bare_after = "";
};

struct VisionSpec {
  std::string projector;       // clip.projector_type: "idefics3", "mlp", "gemma3", "qwen2vl_merger", "qwen2.5vl_merger"
  uint32_t layers = 0;         // blocks that are run
  uint32_t width = 0;          // M
  uint32_t ffn = 0;            // F, from the tensors' shapes
  uint32_t heads = 0;          // H
  uint32_t head_size = 0;      // D
  uint32_t feature_width = 0;  // N
  uint32_t patch = 0;          // pixels along a side of a patch
  uint32_t merge = 1;          // patches along a side of the square that becomes one result row
  uint32_t positions = 0;      // rows of the position table; 0: none (rope)
  float norm_eps = 1e-6f;      // of every norm
  NormKind norm = NormKind::layer;
  Activation activation = Activation::gelu_tanh;
  bool ffn_swapped = false;           // the file calls the feed-forward's first matrix ffn_down
  bool class_token = false;           // row 0 is the class token, and no result
  uint32_t window = 0;                // patches along a side of an attention window; 0: every row sees the whole tile
  std::vector<bool> whole_attention;  // [layers] with a window: blocks that see the whole tile all the same
  RopeSpec rope;                      // components 0 and 1 are y and x; dims 0: no rope

  // Pictures. mean and deviation are of channel / 255.
  TileRule rule = TileRule::stretch;
  TileFilter filter = TileFilter::bilinear;
  uint32_t image_size = 0;                  // pixels along a side of a tile; 0: tiles of any size (dynamic)
  uint32_t longest_edge = 0;                // split: of the picture before it is cut
  uint64_t min_pixels = 0, max_pixels = 0;  // dynamic
  float mean[3] = {0.5f, 0.5f, 0.5f};
  float deviation[3] = {0.5f, 0.5f, 0.5f};

  ImageText text;
};

// The text around an image of rows x columns tiles and the whole (0, 0: one tile): element i stands before block i of rows, the last one
// behind the last block. `bare`: no template wrote what it would around the placeholder.
std::vector<std::string> text_around(const ImageText& text, uint32_t rows, uint32_t columns, bool bare);

}  // namespace kl
