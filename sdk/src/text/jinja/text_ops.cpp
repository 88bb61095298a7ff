#include "text/jinja/text_ops.h"

#include "text/jinja/ops.h"
#include "text/jinja/unicode.h"

namespace kl::jinja {
namespace {

constexpr char32_t kSigma = 0x3A3;

// Greek capital sigma is lower-cased to its final form at the end of a word (Unicode Final_Sigma, without case-ignorable characters).
bool final_sigma(std::string_view text, size_t at, size_t after) {
  size_t p = at == 0 ? 0 : before(text, at);
  if (at == 0 || !is_cased(decode(text, p))) return false;
  return after >= text.size() || !is_cased(decode(text, after));
}

void lower_into(const Str& s, size_t begin, StrBuilder& out) {
  s.each_run(begin, s.size(), [&](std::string_view run, bool trusted) {
    std::string piece;
    const auto base = static_cast<size_t>(run.data() - s.text().data());
    for (size_t pos = 0; pos < run.size();) {
      const size_t at = pos;
      const char32_t c = decode(run, pos);
      if (c == kSigma && final_sigma(s.text(), base + at, base + pos)) {
        encode(0x3C2, piece);
      } else {
        append_lower(c, piece);
      }
    }
    out.append(piece, trusted);
  });
}

}  // namespace

Result<Value> map_chars(Runtime& rt, const Value& string, const std::function<void(char32_t, std::string&)>& map) {
  const Str& s = string.str();
  KL_TRY(rt.tick_bytes(s.size() * 4));
  StrBuilder out = rt.builder();
  s.each_run(0, s.size(), [&](std::string_view run, bool trusted) {
    std::string piece;
    for (size_t pos = 0; pos < run.size();) map(decode(run, pos), piece);
    out.append(piece, trusted);
  });
  return rt.text(std::move(out), s.markup());
}

Result<Value> upper(Runtime& rt, const Value& string) { return map_chars(rt, string, append_upper); }

Result<Value> lower(Runtime& rt, const Value& string) {
  KL_TRY(rt.tick_bytes(string.str().size() * 4));
  StrBuilder out = rt.builder();
  lower_into(string.str(), 0, out);
  return rt.text(std::move(out), string.str().markup());
}

Result<Value> capitalize(Runtime& rt, const Value& string) {
  const Str& s = string.str();
  if (s.empty()) return string;
  KL_TRY(rt.tick_bytes(s.size() * 4));
  StrBuilder out = rt.builder();
  std::string first;
  size_t pos = 0;
  append_title(decode(s.text(), pos), first);
  out.append(first, s.trusted_at(0));
  lower_into(s, pos, out);
  return rt.text(std::move(out), s.markup());
}

Result<Value> strip(Runtime& rt, const Value& string, const Value* chars, bool left, bool right) {
  const Str& s = string.str();
  std::vector<char32_t> set;
  const bool given = chars && !chars->is_none();
  if (given) {
    KL_ASSIGN(const Str* text, want_str(*chars, "strip"));
    if (text->size() > 4096) return error(Code::unsupported, "strip: a set of more than 4096 bytes is not supported");
    for (size_t pos = 0; pos < text->size();) set.push_back(decode(text->text(), pos));
    KL_TRY(rt.tick_bytes(s.size() * std::max<size_t>(set.size(), 1)));
  } else {
    KL_TRY(rt.tick_bytes(s.size()));
  }
  const auto strips = [&](char32_t c) { return given ? std::find(set.begin(), set.end(), c) != set.end() : is_space(c); };
  const std::string_view text = s.text();
  size_t begin = 0, end = text.size();
  while (left && begin < end) {
    size_t next = begin;
    if (!strips(decode(text, next))) break;
    begin = next;
  }
  while (right && end > begin) {
    const size_t last = before(text, end);
    size_t p = last;
    if (!strips(decode(text, p))) break;
    end = last;
  }
  return rt.part(string, begin, end);
}

Result<Value> replace(Runtime& rt, const Value& string, const Str& old, const Str& fresh, int64_t count) {
  const Str& s = string.str();
  KL_TRY(rt.tick_bytes(s.size() + old.size()));
  StrBuilder out = rt.builder();
  uint64_t left = count < 0 ? UINT64_MAX : static_cast<uint64_t>(count);
  uint64_t made = 0;
  size_t done = 0;
  if (old.empty()) {
    for (size_t pos = 0; left > 0 && !out.overflow(); pos += width_at(s.text(), pos)) {
      out.append(s, done, pos);
      out.append(fresh);
      done = pos;
      --left, ++made;
      if (pos >= s.size()) break;
    }
  } else if (left > 0) {
    Finder(old.text()).each(s.text(), false, [&](size_t at) {
      out.append(s, done, at);
      out.append(fresh);
      done = at + old.size();
      ++made;
      return --left > 0 && !out.overflow();
    });
  }
  KL_TRY(rt.tick(made / 4));
  if (made == 0) return string;
  out.append(s, done, s.size());
  return rt.text(std::move(out), s.markup());
}

std::vector<Line> split_lines(std::string_view text) {
  std::vector<Line> lines;
  size_t begin = 0;
  for (size_t pos = 0; pos < text.size();) {
    const size_t at = pos;
    const char32_t c = decode(text, pos);
    if (!is_line_break(c)) continue;
    if (c == '\r' && pos < text.size() && text[pos] == '\n') ++pos;
    lines.push_back({begin, at, pos});
    begin = pos;
  }
  if (begin < text.size()) lines.push_back({begin, text.size(), text.size()});
  return lines;
}

Result<Value> join(Runtime& rt, const Value& separator, const std::vector<Value>& items) {
  const Str& between = separator.str();
  KL_TRY(rt.tick(items.size()));
  StrBuilder out = rt.builder();
  for (size_t i = 0; i < items.size() && !out.overflow(); ++i) {
    if (i > 0) out.append(between);
    KL_ASSIGN(const Str* item, want_str(items[i], "join"));
    if (between.markup()) {
      KL_ASSIGN(const Value escaped, escape_html(rt, items[i]));
      out.append(escaped.str());
    } else {
      out.append(*item);
    }
  }
  return rt.text(std::move(out), between.markup());
}

Result<Value> center(Runtime& rt, const Value& string, int64_t width, const Str& fill) {
  const Str& s = string.str();
  const auto length = static_cast<int64_t>(s.length());
  if (width <= length) return string;
  const auto pad = static_cast<uint64_t>(width - length);
  const uint64_t left = pad / 2 + (pad & static_cast<uint64_t>(width) & 1);  // Python's rounding
  StrBuilder out = rt.builder();
  out.repeat(fill, left);
  out.append(s);
  out.repeat(fill, pad - left);
  return rt.text(std::move(out), s.markup());
}

}  // namespace kl::jinja
