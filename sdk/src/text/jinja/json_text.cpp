#include "text/jinja/json_text.h"

#include <cmath>
#include <numeric>

#include "text/jinja/ops.h"
#include "text/jinja/unicode.h"

namespace kl::jinja {
namespace {

std::string json_float(double d) { return std::isnan(d) ? "NaN" : std::isinf(d) ? (d < 0 ? "-Infinity" : "Infinity") : float_repr(d); }

std::string escaped(char32_t c, bool ascii) {
  switch (c) {
    case '"':
      return "\\\"";
    case '\\':
      return "\\\\";
    case '\n':
      return "\\n";
    case '\r':
      return "\\r";
    case '\t':
      return "\\t";
    case '\b':
      return "\\b";
    case '\f':
      return "\\f";
    default:
      break;
  }
  if (c < 0x20 || (ascii && c > 0x7E && c < 0x10000)) {
    return ascii && c == 0x7F ? std::string() : format("\\u%04x", static_cast<unsigned>(c));
  }
  if (!ascii || c < 0x10000) return {};
  const unsigned high = 0xD800 + ((static_cast<unsigned>(c) - 0x10000) >> 10),
                 low = 0xDC00 + ((static_cast<unsigned>(c) - 0x10000) & 0x3FF);
  return format("\\u%04x\\u%04x", high, low);
}

void json_str(const Str& s, bool ascii, StrBuilder& out) {
  out.literal("\"");
  s.each_run(0, s.size(), [&](std::string_view run, bool trusted) {
    size_t plain = 0;
    for (size_t pos = 0; pos < run.size();) {
      const size_t at = pos;
      const std::string escape = escaped(decode(run, pos), ascii);
      if (escape.empty()) continue;
      out.append(run.substr(plain, at - plain), trusted);
      out.append(escape, trusted);
      plain = pos;
    }
    out.append(run.substr(plain), trusted);
  });
  out.literal("\"");
}

class Writer {
 public:
  Writer(Runtime& rt, const JsonStyle& style, StrBuilder& out) : rt_(rt), style_(style), out_(out) {}

  Status value(const Value& v) {
    KL_TRY(rt_.tick());
    switch (v.kind()) {
      case Kind::none:
        out_.literal("null");
        return {};
      case Kind::boolean:
        out_.literal(v.as_bool() ? "true" : "false");
        return {};
      case Kind::integer:
        out_.literal(std::to_string(v.as_integer()));
        return {};
      case Kind::real:
        out_.literal(json_float(v.as_real()));
        return {};
      case Kind::string:
        KL_TRY(rt_.tick_bytes(v.str().size()));
        json_str(v.str(), style_.ascii, out_);
        return {};
      case Kind::sequence:
        if (v.seq().kind == SeqKind::list || v.seq().kind == SeqKind::tuple) return list(v.seq());
        break;
      case Kind::dict:
        return dict(v.dict());
      default:
        break;
    }
    return error(Code::invalid_argument, "tojson: object of type %s is not JSON serializable", v.type_name());
  }

 private:
  void line() {
    if (!style_.indent) return;
    out_.literal("\n");
    out_.repeat(*style_.indent, level_);
  }

  Status list(const Sequence& seq) {
    if (seq.items.empty()) {
      out_.literal("[]");
      return {};
    }
    out_.literal("[");
    ++level_;
    for (size_t i = 0; i < seq.items.size(); ++i) {
      if (i > 0) out_.append(style_.item_separator);
      line();
      KL_TRY(value(seq.items[i]));
    }
    --level_;
    line();
    out_.literal("]");
    return {};
  }

  Status dict(const Dict& dict) {
    if (dict.size() == 0) {
      out_.literal("{}");
      return {};
    }
    std::vector<size_t> order(dict.size());
    std::iota(order.begin(), order.end(), size_t{0});
    if (style_.sort_keys) {
      std::vector<Value> keys;
      for (const auto& [key, held] : dict.entries()) keys.push_back(key);
      KL_TRY(sort_by(rt_, keys, false, order));
    }
    out_.literal("{");
    ++level_;
    for (size_t i = 0; i < order.size(); ++i) {
      const auto& [key, held] = dict.entries()[order[i]];
      if (i > 0) out_.append(style_.item_separator);
      line();
      KL_TRY(write_key(key));
      out_.append(style_.key_separator);
      KL_TRY(value(held));
    }
    --level_;
    line();
    out_.literal("}");
    return {};
  }

  Status write_key(const Value& key) {
    if (key.is_string()) {
      json_str(key.str(), style_.ascii, out_);
      return {};
    }
    if (!key.is_number() && !key.is_none()) {
      return error(Code::invalid_argument, "tojson: keys must be str, int, float, bool or None, not %s", key.type_name());
    }
    out_.literal("\"");
    KL_TRY(value(key));
    out_.literal("\"");
    return {};
  }

  Runtime& rt_;
  const JsonStyle& style_;
  StrBuilder& out_;
  size_t level_ = 0;
};

}  // namespace

Status to_json(Runtime& rt, const Value& value, const JsonStyle& style, StrBuilder& out) { return Writer(rt, style, out).value(value); }

}  // namespace kl::jinja
