// What every shader shares: extensions, the step's parameters, 16-bit floats by integer arithmetic (exact, whatever a driver does to small numbers).
#extension GL_EXT_control_flow_attributes : require
#ifdef SUBGROUP
#extension GL_KHR_shader_subgroup_basic : require
#extension GL_KHR_shader_subgroup_shuffle : require
#endif
#ifdef NARROW
#extension GL_EXT_shader_16bit_storage : require
#extension GL_EXT_shader_8bit_storage : require
#endif
#ifdef DOT
#extension GL_EXT_spirv_intrinsics : require
#endif
#ifdef MATRIX
#extension GL_KHR_cooperative_matrix : require
#extension GL_KHR_memory_scope_semantics : require
#extension GL_KHR_shader_subgroup_basic : require
#extension GL_EXT_shader_explicit_arithmetic_types_int8 : require
#endif

// StepParams (sdk/src/backend/step_params.h) as words: the header is fixed, the places of all other fields follow from the model's limits and come as
// push constants.
#define STEP_ROWS 0u
#define STEP_OUTPUTS 1u
#define STEP_SEQUENCES 2u
#define STEP_PIXEL_STRIDE 3u

layout(std430, set = 0, binding = 0) restrict readonly buffer Step { uint step_word[]; };

// Rows of the step that a value has: ROWS_OF is a word of the header, or STEP_ROWS divided by how many rows were pooled into one.
uint live_rows(uint which, uint pool) { return step_word[which] / pool; }

// binary16 -> float, exact for every number (a driver may flush the small ones in unpackHalf2x16).
float half_to_float(uint h) {
  uint exponent = (h >> 10) & 31u, mantissa = h & 1023u, sign = (h & 0x8000u) << 16;
  if (exponent == 0u) return uintBitsToFloat(floatBitsToUint(float(mantissa) * 5.9604644775390625e-08) | sign);
  return uintBitsToFloat(sign | ((exponent == 31u ? 255u : exponent + 112u) << 23) | (mantissa << 13));
}

// float -> binary16, to nearest even, as core/half.h does it (packHalf2x16 may round either way).
uint float_to_half(float value) {
  uint bits = floatBitsToUint(value), sign = (bits >> 16) & 0x8000u, magnitude = bits & 0x7fffffffu;
  if (magnitude > 0x7f800000u) return sign | 0x7e00u;
  if (magnitude >= 0x477ff000u) return sign | 0x7c00u;
  if (magnitude < 0x38800000u) return sign | uint(roundEven(uintBitsToFloat(magnitude) * 16777216.0));
  return sign | ((magnitude + 0xfffu + ((magnitude >> 13) & 1u) - 0x38000000u) >> 13);
}

bool is_nan(float value) { return (floatBitsToUint(value) & 0x7fffffffu) > 0x7f800000u; }
