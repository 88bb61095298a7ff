// What goes in the next step: a pure function of the queue's state, so that every decision can be tested without a thread or a model.
#pragma once
#include <cstdint>
#include <span>
#include <vector>

namespace kl {

// Pending rows [first, end) that must be in one step: they see each other both ways.
struct WholeRows {
  uint32_t first = 0, end = 0;
};

// A generation that could go on: it has a place in the cache, its reader has room. In order of arrival.
struct PolicyJob {
  uint32_t model = 0;                     // index into models
  uint32_t pending = 0;                   // rows to compute before its next token can be sampled, at least 1
  bool decoding = false;                  // pending is 1 and the row is a generated token
  bool alone = false;                     // a step with others failed: it runs by itself, so that only the culprit fails
  std::span<const WholeRows> whole = {};  // ascending, none longer than the model's max_rows
};

struct PolicyModel {
  uint32_t max_rows = 512, max_outputs = 64, max_sequences = 32;
  uint32_t next_job = 0;  // of its jobs, those from this index on come first when there are more than fit: where its last step left off
};

struct StepSlice {
  uint32_t job = 0;  // index into jobs
  uint32_t rows = 0;
};

struct StepChoice {
  uint32_t model = 0;
  std::vector<StepSlice> slices;  // empty: nothing to do
  uint32_t next_job = 0;          // for the model's next step
  uint32_t next_model = 0;        // for the next call
};

// Prompt rows in a step that also decodes: decoding sessions wait no longer than this many rows take. At 64 rows the 8-bit products, not the weights'
// bytes, bound a step (the design's roofline), so larger chunks would not make the prompt faster.
inline constexpr uint32_t kPromptRowsBesideDecoding = 64;

// The most rows, at most `rows`, that can be computed next without cutting what must stay whole. 0: the next ones are more than `rows`.
uint32_t uncut_rows(std::span<const WholeRows> whole, uint32_t rows);

// Decoding rows first, one each; the prompts share the rest in equal parts, earlier arrivals taking what is left over. Models take turns, and so
// do jobs of which there are more than sequences in a step.
// Every job is chosen after finitely many calls when the turn is passed on.
// Rows that must stay whole are never cut: a prompt that has come to them takes them all, beside decoding rows too, and where the earliest prompt's do not fit
// beside these, as many of them as it takes wait for the next step.
StepChoice choose_step(std::span<const PolicyModel> models, std::span<const PolicyJob> jobs, uint32_t next_model);

// ---- images beside text ----

// Of the time in which both text and an image could go on, text gets at least this part. It is to keep 70 % of its pace; what it loses beyond its share of the time is
// below 3 % (docs/performance.md; `kinglet bench --projector`), and the rest of the margin is for machines with other caches.
inline constexpr double kTextShare = 0.75;
// An encode runs at least this long before text may take its turn: a slice costs little more than its ops.
inline constexpr double kSliceSeconds = 0.005;

enum class Work : uint8_t { nothing, text, encode };

// What has run: a debt to pay. Encoding may go on when it is not positive; text pays it off.
struct EncodeDebt {
  double seconds = 0;  // of text that are due before the next slice; negative: saved up, at most for one slice
};
EncodeDebt after_text(EncodeDebt debt, double seconds);
EncodeDebt after_encode(EncodeDebt debt, double seconds);

// text, encode: there is such work. unsliced: the encode is not to be interrupted by text.
Work choose_work(bool text, bool encode, bool unsliced, EncodeDebt debt);

}  // namespace kl
