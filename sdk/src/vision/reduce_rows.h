// Fewer rows of a picture after it was encoded: neighbours averaged, or those most alike to others left out. Neither looks at attention, so
// both work with any decoder and before the question is known. Pure and deterministic: the result is a function of the rows alone, on every
// machine. Thread-safe.
#pragma once
#include "vision/features.h"

namespace kl {

// At most max_rows rows: each block's grid is cut into squares of 2 x 2 rows (3 x 3, ... until it suffices) whose mean is one row; squares
// at the right and lower edge may hold fewer. The blocks' heights and widths become those of the new grid. max_rows 0 or enough: the rows
// as they are.
// Source: average pooling of visual tokens as Gemma 3's projector does it inside the model; here after the model, so no weights were trained
// for it.
// Errors: invalid_argument (fewer rows asked for than there are blocks; a grid of more than 2^20 rows), corrupt (check_features).
Result<Features> pool_rows(Features features, uint32_t max_rows);

// Leaves out floor(fraction * rows) rows, so that those kept differ most: the first kept is the one least alike to its nearest other, then
// always the one least alike to all kept so far (cosine; ties: the lowest index). Order and grids stay, `places` is filled; every block keeps
// at least one row.
// Source: the greedy answer to the max-min diversity problem, Alvar, Singh, Akbari, Zhang, "DivPrune: Diversity-based Visual Token Pruning
// for Large Multimodal Models" (2025). Time O(rows^2 width).
// Errors: invalid_argument (a fraction outside [0, 0.9]; a grid of more than 2^20 rows), corrupt (check_features).
Result<Features> prune_rows(Features features, float fraction);

}  // namespace kl
