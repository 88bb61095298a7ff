// Matrices of a subgroup, TM x TK by TK x TN, int8 in, int32 out, and float32 ones of the size of the result: GL_KHR_cooperative_matrix, or, with EMULATED,
// the same by a single thread that plays a subgroup, with its matrices in arrays: how the tests run what reads this where no device has such matrices.
// Needs constants TM, TN, TK, and kParts, how many results make 32 x 16. Memory is shared; `at` and `stride` count its elements, of four int8 or one float32.
// (Statements, since arrays are no values to copy for a driver's compiler; a declaration each, since glslang 13 takes a second declarator for another type.)
#ifdef EMULATED
#define SUBGROUP_ID gl_LocalInvocationIndex
// Eight numbers an iteration: lavapipe ends every loop of an invocation that has gone round 65535 times in all.
#define EACH_OF(count) for (uint j_ = 0u; j_ < (count); j_ += 8u) [[unroll]] for (uint l_ = 0u; l_ < 8u; ++l_)
#define I_ (j_ + l_)
#define DECLARE_SUMS(r) float r[512]
#define DECLARE_FLOATS(r) float r[256]
#define DECLARE_INTEGERS(r) int r[256]
#define DECLARE_INPUTS(r) uint r[256]
#define DECLARE_WEIGHTS(r) uint r[128]
#define CLEAR_SUMS(r) EACH_OF(512u) r[I_] = 0.0
#define COPY_SUMS(to, from) EACH_OF(512u) to[I_] = from[I_]
#define ADD_TO_SUMS(r, part, a) EACH_OF(TM* TN) r[(part) * TM * TN + I_] = r[(part) * TM * TN + I_] + a[I_]
#define STORE_SUMS(r, part, memory, at, stride) EACH_OF(TM* TN) memory[(at) + (I_ / TN) * (stride) + I_ % TN] = r[(part) * TM * TN + I_]
#define LOAD_INPUTS(x, memory, at, stride) EACH_OF(TM* TK / 4u) x[I_] = memory[(at) + I_ / (TK / 4u) * (stride) + I_ % (TK / 4u)]
#define LOAD_WEIGHTS(w, memory, at, stride) EACH_OF(TN* TK / 4u) w[I_] = memory[(at) + I_ / (TK / 4u) * (stride) + I_ % (TK / 4u)]
#define LOAD_OF_COLUMNS(r, memory, at) EACH_OF(TM* TN) r[I_] = memory[(at) + I_ % TN]
#define LOAD_OF_ROWS(r, memory, at) EACH_OF(TM* TN) r[I_] = memory[(at) + I_ / TN]
#define CLEAR_INTEGERS(r) EACH_OF(TM* TN) r[I_] = 0
#define MULTIPLY_ADD(r, x, w)              \
  for (uint k_ = 0u; k_ < TK / 4u; ++k_)   \
    EACH_OF(TM* TN) r[I_] = DOT4(x[I_ / TN * (TK / 4u) + k_], w[I_ % TN * (TK / 4u) + k_], r[I_])
#define TO_FLOATS(r, a) EACH_OF(TM* TN) r[I_] = float(a[I_])
#define ADD(r, a, b) EACH_OF(TM* TN) r[I_] = a[I_] + b[I_]
#define MULTIPLY(r, a, b) EACH_OF(TM* TN) r[I_] = a[I_] * b[I_]
#else
#define SUBGROUP_ID gl_SubgroupID
#define Floats coopmat<float, gl_ScopeSubgroup, TM, TN, gl_MatrixUseAccumulator>
#define Integers coopmat<int, gl_ScopeSubgroup, TM, TN, gl_MatrixUseAccumulator>
#define DECLARE_SUMS(r) Floats r[kParts]
#define DECLARE_FLOATS(r) Floats r
#define DECLARE_INTEGERS(r) Integers r
#define DECLARE_INPUTS(r) coopmat<int8_t, gl_ScopeSubgroup, TM, TK, gl_MatrixUseA> r
#define DECLARE_WEIGHTS(r) coopmat<int8_t, gl_ScopeSubgroup, TK, TN, gl_MatrixUseB> r
#define CLEAR_SUMS(r) for (uint i_ = 0u; i_ < kParts; ++i_) r[i_] = Floats(0.0)
#define COPY_SUMS(to, from) for (uint i_ = 0u; i_ < kParts; ++i_) to[i_] = from[i_]
#define ADD_TO_SUMS(r, part, a) r[part] = r[part] + a
#define STORE_SUMS(r, part, memory, at, stride) coopMatStore(r[part], memory, at, stride, gl_CooperativeMatrixLayoutRowMajor)
#define LOAD_INPUTS(x, memory, at, stride) coopMatLoad(x, memory, at, stride, gl_CooperativeMatrixLayoutRowMajor)
#define LOAD_WEIGHTS(w, memory, at, stride) coopMatLoad(w, memory, at, stride, gl_CooperativeMatrixLayoutColumnMajor)
// A stride of 0: the same numbers in every row, or in every column.
#define LOAD_OF_COLUMNS(r, memory, at) coopMatLoad(r, memory, at, 0u, gl_CooperativeMatrixLayoutRowMajor)
#define LOAD_OF_ROWS(r, memory, at) coopMatLoad(r, memory, at, 0u, gl_CooperativeMatrixLayoutColumnMajor)
#define CLEAR_INTEGERS(r) r = Integers(0)
#define MULTIPLY_ADD(r, x, w) r = coopMatMulAdd(x, w, r)
#define TO_FLOATS(r, a) r = Floats(a)
#define ADD(r, a, b) r = a + b
#define MULTIPLY(r, a, b) r = a * b
#endif
