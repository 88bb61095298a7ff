// str() and repr() of every value, as Python prints them.
#include <array>
#include <charconv>
#include <cmath>

#include "text/jinja/objects.h"
#include "text/jinja/runtime.h"
#include "text/jinja/unicode.h"

namespace kl::jinja {
namespace {

// Python's choice: single quotes unless the text has some and no double ones.
void repr_str(const Str& s, StrBuilder& out) {
  const std::string_view text = s.text();
  const bool single = text.find('\'') != std::string_view::npos && text.find('"') == std::string_view::npos;
  const char quote = single ? '"' : '\'';
  if (s.markup()) out.literal("Markup(");
  out.literal({&quote, 1});
  s.each_run(0, s.size(), [&](std::string_view run, bool trusted) {
    size_t plain = 0;  // start of what needs no escape
    for (size_t pos = 0; pos < run.size();) {
      const size_t at = pos;
      const char32_t c = decode(run, pos);
      std::string escape;
      if (c == '\\' || c == static_cast<char32_t>(quote)) {
        escape = {'\\', static_cast<char>(c)};
      } else if (c == '\n' || c == '\r' || c == '\t') {
        escape = {'\\', c == '\n' ? 'n' : c == '\r' ? 'r' : 't'};
      } else if (!is_printable(c)) {
        escape = c < 0x100     ? format("\\x%02x", static_cast<unsigned>(c))
                 : c < 0x10000 ? format("\\u%04x", static_cast<unsigned>(c))
                               : format("\\U%08x", static_cast<unsigned>(c));
      } else {
        continue;
      }
      out.append(run.substr(plain, at - plain), trusted);
      out.append(escape, trusted);
      plain = pos;
    }
    out.append(run.substr(plain), trusted);
  });
  out.literal({&quote, 1});
  if (s.markup()) out.literal(")");
}

Status repr_items(Runtime& rt, const Sequence& seq, const char* open, const char* close, StrBuilder& out) {
  out.literal(open);
  for (size_t i = 0; i < seq.items.size(); ++i) {
    if (i > 0) out.literal(", ");
    KL_TRY(rt.repr(seq.items[i], out));
  }
  out.literal(close);
  return {};
}

Status repr_dict(Runtime& rt, const Dict& dict, StrBuilder& out) {
  out.literal("{");
  bool first = true;
  for (const auto& [key, value] : dict.entries()) {
    if (!first) out.literal(", ");
    first = false;
    KL_TRY(rt.repr(key, out));
    out.literal(": ");
    KL_TRY(rt.repr(value, out));
  }
  out.literal("}");
  return {};
}

Status repr_seq(Runtime& rt, const Sequence& seq, StrBuilder& out) {
  switch (seq.kind) {
    case SeqKind::list:
      return repr_items(rt, seq, "[", "]", out);
    case SeqKind::tuple:
      return repr_items(rt, seq, "(", seq.items.size() == 1 ? ",)" : ")", out);
    case SeqKind::keys:
      return repr_items(rt, seq, "dict_keys([", "])", out);
    case SeqKind::values:
      return repr_items(rt, seq, "dict_values([", "])", out);
    case SeqKind::items:
      return repr_items(rt, seq, "dict_items([", "])", out);
    case SeqKind::iterator:
      out.literal("<generator object>");
      return {};
    case SeqKind::range:
      out.literal("range(" + std::to_string(seq.start) + ", " + std::to_string(seq.stop));
      if (seq.step != 1) out.literal(", " + std::to_string(seq.step));
      out.literal(")");
      return {};
  }
  return {};
}

void repr_object(const Object& object, StrBuilder& out) {
  switch (object.type) {
    case Object::Type::function:
      out.literal(format("<function %s>", static_cast<const FunctionObject&>(object).entry->name));
      return;
    case Object::Type::method: {
      const auto& method = static_cast<const MethodObject&>(object);
      out.literal(format("<built-in method %s of %s object>", method.entry->name, method.self.type_name()));
      return;
    }
    case Object::Type::macro: {
      const auto& macro = static_cast<const MacroObject&>(object);
      out.literal(macro.node->kind == NodeKind::macro ? "<Macro '" + macro.node->macro.name + "'>" : "<Macro anonymous>");
      return;
    }
    case Object::Type::loop: {
      const auto& loop = static_cast<const LoopObject&>(object);
      out.literal(format("<LoopContext %zu/%zu>", loop.index + 1, loop.items->items.size()));
      return;
    }
    case Object::Type::cycler:
      out.literal("<Cycler>");
      return;
    case Object::Type::joiner:
      out.literal("<Joiner>");
      return;
  }
}

}  // namespace

std::string float_repr(double d) {
  if (std::isnan(d)) return "nan";
  if (std::isinf(d)) return d < 0 ? "-inf" : "inf";
  std::array<char, 40> buffer{};
  const auto [end, fault] = std::to_chars(buffer.data(), buffer.data() + buffer.size(), d, std::chars_format::scientific);
  std::string digits(buffer.data(), end);
  std::string out;
  if (digits[0] == '-') {
    out = "-";
    digits.erase(0, 1);
  }
  const size_t e = digits.find('e');
  int exponent = 0;
  std::from_chars(digits.data() + e + (digits[e + 1] == '+' ? 2 : 1), digits.data() + digits.size(), exponent);
  digits.resize(e);
  if (digits.size() > 1) digits.erase(1, 1);  // the point
  const int count = static_cast<int>(digits.size());
  if (exponent < -4 || exponent >= 16) {
    out += digits[0];
    if (count > 1) out += "." + digits.substr(1);
    const std::string power = std::to_string(std::abs(exponent));
    return out + "e" + (exponent < 0 ? "-" : "+") + (power.size() < 2 ? "0" : "") + power;
  }
  if (exponent < 0) return out + "0." + std::string(static_cast<size_t>(-exponent - 1), '0') + digits;
  if (count <= exponent + 1) return out + digits + std::string(static_cast<size_t>(exponent + 1 - count), '0') + ".0";
  return out + digits.substr(0, static_cast<size_t>(exponent) + 1) + "." + digits.substr(static_cast<size_t>(exponent) + 1);
}

Status Runtime::repr(const Value& value, StrBuilder& out) {
  KL_TRY(tick());
  switch (value.kind()) {
    case Kind::undefined:
      out.literal("Undefined");
      return {};
    case Kind::none:
      out.literal("None");
      return {};
    case Kind::boolean:
      out.literal(value.as_bool() ? "True" : "False");
      return {};
    case Kind::integer:
      out.literal(std::to_string(value.as_integer()));
      return {};
    case Kind::real:
      out.literal(float_repr(value.as_real()));
      return {};
    case Kind::string:
      KL_TRY(tick_bytes(value.str().size()));
      repr_str(value.str(), out);
      return {};
    case Kind::sequence:
      return repr_seq(*this, value.seq(), out);
    case Kind::dict:
      return repr_dict(*this, value.dict(), out);
    case Kind::space: {
      if (++repr_depth_ > kMaxValueDepth) return error(Code::unsupported, "a namespace that contains itself cannot be printed");
      out.literal("<Namespace ");
      Status printed = repr_dict(*this, value.space()->attributes, out);
      --repr_depth_;
      out.literal(">");
      return printed;
    }
    case Kind::object:
      repr_object(value.object(), out);
      return {};
  }
  return {};
}

Status Runtime::str(const Value& value, StrBuilder& out) {
  if (value.is_string()) {
    KL_TRY(tick_bytes(value.str().size()));
    out.append(value.str());
    return {};
  }
  if (value.is_undefined()) return {};
  return repr(value, out);
}

}  // namespace kl::jinja
