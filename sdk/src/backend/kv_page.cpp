#include "backend/kv_page.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

#include "core/half.h"

namespace kl {
namespace {

float get_f32(const std::byte* p) {
  float v;
  std::memcpy(&v, p, sizeof v);
  return v;
}
float get_f16(const std::byte* p) {
  uint16_t v;
  std::memcpy(&v, p, sizeof v);
  return f16_to_f32(v);
}
void put_f32(std::byte* p, float v) { std::memcpy(p, &v, sizeof v); }
// Returns what a reader will see.
float put_f16(std::byte* p, float v) {
  const uint16_t h = f32_to_f16(v);
  std::memcpy(p, &h, sizeof h);
  return f16_to_f32(h);
}

// round-half-even(x / step), as x * (1 / step) in f32, within [low, high]; low for what is not a number; x counts as 0 where the step is 0.
int code(float x, float step, int low, int high) {
  const float scaled = x * (step > 0 ? 1.0f / step : 0.0f);
  if (!(scaled > static_cast<float>(low))) return low;
  return scaled >= static_cast<float>(high) ? high : static_cast<int>(std::nearbyint(scaled));
}

// Byte of a row's dimension d: in K, and in V.
size_t k_at(const KvPageShape& s, const KvPageLayout& l, uint32_t token, uint32_t d) {
  switch (s.format) {
    case KvFormat::f32:
      return l.k + (size_t{d} * 32 + token) * 4;
    case KvFormat::f16:
      return l.k + (size_t{d} * 32 + token) * 2;
    case KvFormat::q8:
      return l.k + (size_t{d / 4} * 32 + token) * 4 + d % 4;
    case KvFormat::q4:
      return l.k + (size_t{d / 8} * 32 + token) * 4 + d % 4;
  }
  return 0;
}
size_t v_at(const KvPageShape& s, const KvPageLayout& l, uint32_t token, uint32_t d) {
  switch (s.format) {
    case KvFormat::f32:
      return l.v + (size_t{token} * s.head_size + d) * 4;
    case KvFormat::f16:
      return l.v + (size_t{token} * s.head_size + d) * 2;
    case KvFormat::q8:
      return l.v + (size_t{token / 4} * s.head_size + d) * 4 + token % 4;
    case KvFormat::q4:
      return l.v + (size_t{token / 4} * (s.head_size / 2) + d % (s.head_size / 2)) * 4 + token % 4;
  }
  return 0;
}
bool upper_nibble(const KvPageShape& s, bool is_k, uint32_t d) { return is_k ? d % 8 >= 4 : d >= s.head_size / 2; }

void encode(const KvPageShape& s, std::byte* page, uint32_t head, uint32_t token, const float* row, bool is_k) {
  const KvPageLayout l = kv_page_layout(s);
  std::byte* base = page + head * l.head_bytes;
  const auto at = [&](uint32_t d) { return base + (is_k ? k_at(s, l, token, d) : v_at(s, l, token, d)); };
  const uint32_t size = s.head_size, group = is_k ? kv_k_group(s.format) : kv_v_group(s.format);
  std::byte* scales = base + (is_k ? l.k_scales : l.v_scales) + size_t{token} * 2;
  const size_t minima = size_t{is_k ? l.k_groups : l.v_groups} * kKvPageTokens * 2;
  if (s.format == KvFormat::f32) {
    for (uint32_t d = 0; d < size; ++d) put_f32(at(d), row[d]);
  } else if (s.format == KvFormat::f16) {
    for (uint32_t d = 0; d < size; ++d) put_f16(at(d), row[d]);
  } else if (s.format == KvFormat::q8) {
    for (uint32_t first = 0; first < size; first += group) {
      const uint32_t end = std::min(size, first + group);
      float most = 0;
      for (uint32_t d = first; d < end; ++d) most = std::max(most, std::fabs(row[d]));
      const float step = put_f16(scales + first / group * kKvPageTokens * 2, most / 127.0f);
      for (uint32_t d = first; d < end; ++d) *at(d) = static_cast<std::byte>(code(row[d], step, -127, 127));
    }
  } else {
    std::vector<float> x(row, row + size);
    kv_rotate(x.data(), size);
    const int top = is_k ? 31 : 15;
    for (uint32_t first = 0; first < size; first += group) {
      const uint32_t end = std::min(size, first + group);
      const auto [low, high] = std::minmax_element(x.begin() + first, x.begin() + end);
      std::byte* scale_at = scales + first / group * kKvPageTokens * 2;
      const float step = put_f16(scale_at, (*high - *low) / static_cast<float>(top));
      const float minimum = put_f16(scale_at + minima, *low);
      for (uint32_t d = first; d < end; ++d) {
        const int q = code(x[d] - minimum, step, 0, top);
        const unsigned old = static_cast<unsigned>(*at(d));
        const unsigned nibble = static_cast<unsigned>(q) & 15u;
        *at(d) = static_cast<std::byte>(upper_nibble(s, is_k, d) ? (old & 0x0fu) | nibble << 4 : (old & 0xf0u) | nibble);
        if (!is_k) continue;
        std::byte* bits = base + l.k_bits + (size_t{d / 32} * kKvPageTokens + token) * 4 + d % 32 / 8;
        const unsigned mask = 1u << d % 8;
        if (d % 32 == 0) std::memset(bits, 0, 4);  // bits without a dimension are 0
        *bits = static_cast<std::byte>((static_cast<unsigned>(*bits) & ~mask) | (q >= 16 ? mask : 0u));
      }
    }
  }
}

void decode(const KvPageShape& s, const std::byte* page, uint32_t head, uint32_t token, float* out, bool is_k) {
  const KvPageLayout l = kv_page_layout(s);
  const std::byte* base = page + head * l.head_bytes;
  const uint32_t group = is_k ? kv_k_group(s.format) : kv_v_group(s.format);
  const std::byte* scales = base + (is_k ? l.k_scales : l.v_scales) + size_t{token} * 2;
  const size_t minima = size_t{is_k ? l.k_groups : l.v_groups} * kKvPageTokens * 2;
  for (uint32_t d = 0; d < s.head_size; ++d) {
    const std::byte* at = base + (is_k ? k_at(s, l, token, d) : v_at(s, l, token, d));
    switch (s.format) {
      case KvFormat::f32:
        out[d] = get_f32(at);
        break;
      case KvFormat::f16:
        out[d] = get_f16(at);
        break;
      case KvFormat::q8:
        out[d] = get_f16(scales + d / group * kKvPageTokens * 2) * static_cast<float>(static_cast<int8_t>(*at));
        break;
      case KvFormat::q4: {
        const std::byte* scale_at = scales + d / group * kKvPageTokens * 2;
        unsigned q = static_cast<unsigned>(*at) >> (upper_nibble(s, is_k, d) ? 4 : 0) & 15u;
        if (is_k)
          q |= (static_cast<unsigned>(base[l.k_bits + (size_t{d / 32} * kKvPageTokens + token) * 4 + d % 32 / 8]) >> d % 8 & 1u) << 4;
        out[d] = get_f16(scale_at + minima) + get_f16(scale_at) * static_cast<float>(q);
        break;
      }
    }
  }
  if (s.format == KvFormat::q4) kv_rotate(out, s.head_size);
}

}  // namespace

const char* kv_layout_name(KvFormat format) {
  switch (format) {
    case KvFormat::f32:
      return "kv/f32";
    case KvFormat::f16:
      return "kv/f16";
    case KvFormat::q8:
      return "kv/q8";
    case KvFormat::q4:
      return "kv/q4";
  }
  return "kv/?";
}

void kv_rotate(float* row, uint32_t head_size) {
  const uint32_t block = kv_rotation_block(head_size);
  const float factor = 1.0f / std::sqrt(static_cast<float>(block));
  for (uint32_t distance = 1; distance < block; distance *= 2) {
    for (uint32_t i = 0; i < head_size; ++i) {
      if ((i / distance) % 2 != 0) continue;
      const float a = row[i], b = row[i + distance];
      row[i] = a + b;
      row[i + distance] = a - b;
    }
  }
  for (uint32_t i = 0; i < head_size; ++i) row[i] *= factor;
}

void kv_encode_k(const KvPageShape& s, std::byte* page, uint32_t head, uint32_t token, const float* row) {
  encode(s, page, head, token, row, true);
}
void kv_encode_v(const KvPageShape& s, std::byte* page, uint32_t head, uint32_t token, const float* row) {
  encode(s, page, head, token, row, false);
}
void kv_decode_k(const KvPageShape& s, const std::byte* page, uint32_t head, uint32_t token, float* out) {
  decode(s, page, head, token, out, true);
}
void kv_decode_v(const KvPageShape& s, const std::byte* page, uint32_t head, uint32_t token, float* out) {
  decode(s, page, head, token, out, false);
}

}  // namespace kl
