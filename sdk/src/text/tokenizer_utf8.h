// UTF-8 as the tokenizers need it: how long the next character is, whether it is valid at all. Valid means: shortest form, no surrogates,
// at most U+10FFFF.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace kl {

inline constexpr std::string_view kReplacement = "\xEF\xBF\xBD";  // U+FFFD
inline constexpr std::string_view kSpmSpace = "\xE2\x96\x81";     // U+2581, how SentencePiece writes a space

// How the bytes at the front of a text begin.
struct Utf8Front {
  uint32_t length = 0;  // bytes of the character; for a wrong or cut one, of its longest beginning that could be valid, at least 1
  bool valid = false;   // a whole character
  bool cut = false;     // not whole, but more bytes could complete it
  char32_t value = 0;   // the character, when valid
};

// Precondition: bytes is not empty. The "longest beginning" is Unicode's rule for U+FFFD (chapter 3.9, "maximal subpart").
inline Utf8Front utf8_front(std::string_view bytes) {
  const auto at = [&](size_t i) { return static_cast<uint8_t>(bytes[i]); };
  const uint8_t lead = at(0);
  if (lead < 0x80) return {1, true, false, lead};
  if (lead < 0xC2 || lead > 0xF4) return {1, false, false, 0};
  const uint32_t need = lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
  // The second byte's range is narrower after four leads: shortest form (E0, F0), surrogates (ED), U+10FFFF (F4).
  const uint8_t low = lead == 0xE0 ? 0xA0 : lead == 0xF0 ? 0x90 : 0x80;
  const uint8_t high = lead == 0xED ? 0x9F : lead == 0xF4 ? 0x8F : 0xBF;
  char32_t value = lead & (0xFFU >> (need + 1));
  for (uint32_t i = 1; i < need; ++i) {
    if (i == bytes.size()) return {i, false, true, 0};
    const uint8_t byte = at(i);
    const bool fits = i == 1 ? byte >= low && byte <= high : (byte & 0xC0U) == 0x80;
    if (!fits) return {i, false, false, 0};
    value = value << 6U | (byte & 0x3FU);
  }
  return {need, true, false, value};
}

// Bytes of the longest valid beginning of text.
inline size_t utf8_valid_prefix(std::string_view text) {
  size_t at = 0;
  while (at < text.size()) {
    if (static_cast<uint8_t>(text[at]) < 0x80) {
      ++at;
      continue;
    }
    const Utf8Front front = utf8_front(text.substr(at));
    if (!front.valid) break;
    at += front.length;
  }
  return at;
}

// Precondition: value is a Unicode scalar value.
inline void utf8_append(std::string& out, char32_t value) {
  const auto put = [&](uint32_t byte) { out.push_back(static_cast<char>(byte)); };
  if (value < 0x80) {
    put(value);
  } else if (value < 0x800) {
    put(0xC0U | value >> 6U), put(0x80U | (value & 0x3FU));
  } else if (value < 0x10000) {
    put(0xE0U | value >> 12U), put(0x80U | (value >> 6U & 0x3FU)), put(0x80U | (value & 0x3FU));
  } else {
    put(0xF0U | value >> 18U), put(0x80U | (value >> 12U & 0x3FU)), put(0x80U | (value >> 6U & 0x3FU)), put(0x80U | (value & 0x3FU));
  }
}

// GPT-2's byte alphabet: every byte as a printable character. Printable Latin-1 stands for itself, the other 68 bytes, in order, are
// U+0100 and up.
constexpr char32_t byte_to_alphabet(uint8_t byte) {
  const auto printable = [](uint32_t b) { return (b >= 0x21 && b <= 0x7E) || (b >= 0xA1 && b <= 0xAC) || b >= 0xAE; };
  if (printable(byte)) return byte;
  char32_t next = 0x100;
  for (uint32_t b = 0; b < byte; ++b) next += printable(b) ? 0 : 1;
  return next;
}

}  // namespace kl
