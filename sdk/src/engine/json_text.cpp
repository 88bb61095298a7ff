#include "engine/json_text.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <nlohmann/json.hpp>

#include "sampling/stop_rules.h"

namespace kl {
namespace {

constexpr size_t kMaxDepth = 64;

// Builds the tree from nlohmann's events.
class Reader {
 public:
  using string_t = nlohmann::json::string_t;
  explicit Reader(const char* what) : what_(what) {}

  bool null() { return add(Json()); }
  bool boolean(bool v) { return add(Json(v)); }
  bool number_integer(int64_t v) { return add(Json(v)); }
  bool number_unsigned(uint64_t v) { return add(Json(v)); }
  bool number_float(double v, const string_t&) { return add(Json(v)); }
  bool string(string_t& v) { return add(Json(std::move(v))); }
  bool binary(nlohmann::json::binary_t&) { return fail(error(Code::invalid_argument, "%s: binary values are no JSON", what_)); }
  bool start_object(size_t) { return open(Json(Json::Object())); }
  bool start_array(size_t) { return open(Json(Json::Array())); }
  bool key(string_t& name) {
    open_.back().key = std::move(name);
    return true;
  }
  bool end_object() { return close(); }
  bool end_array() { return close(); }
  bool parse_error(size_t position, const string_t&, const nlohmann::detail::exception&) {
    return fail(error(Code::invalid_argument, "%s: not JSON near byte %zu", what_, position));
  }

  Status status;
  Json root;

 private:
  struct Level {
    Json value;
    std::string key;
  };
  bool fail(Status failure) {
    if (status.ok()) status = std::move(failure);
    return false;
  }
  bool add(Json v) {
    if (open_.empty()) {
      root = std::move(v);
    } else if (Level& level = open_.back(); level.value.is_array()) {
      level.value.array().push_back(std::move(v));
    } else {
      level.value.set(level.key, std::move(v));  // of equal keys the last one counts
    }
    return true;
  }
  bool open(Json v) {
    if (open_.size() == kMaxDepth) return fail(error(Code::unsupported, "%s: JSON nested deeper than %zu", what_, kMaxDepth));
    open_.push_back({std::move(v), {}});
    return true;
  }
  bool close() {
    Json v = std::move(open_.back().value);
    open_.pop_back();
    return add(std::move(v));
  }

  const char* const what_;
  std::vector<Level> open_;
};

void write_string(std::string_view text, std::string& out) {
  out += '"';
  for (size_t i = 0; i < text.size();) {
    const auto c = static_cast<unsigned char>(text[i]);
    if (c >= 0x80) {
      size_t n = c < 0xE0 ? 2 : c < 0xF0 ? 3 : 4;
      if (is_utf8(text.substr(i, n))) {
        out += text.substr(i, n);
      } else {
        out += "\xEF\xBF\xBD";
        n = 1;
      }
      i += n;
      continue;
    }
    ++i;
    switch (c) {
      case '"':
        out += "\\\"";
        break;
      case '\\':
        out += "\\\\";
        break;
      case '\n':
        out += "\\n";
        break;
      case '\r':
        out += "\\r";
        break;
      case '\t':
        out += "\\t";
        break;
      default:
        if (c < 0x20 || c == 0x7F) {
          out += format("\\u%04x", c);
        } else {
          out += static_cast<char>(c);
        }
    }
  }
  out += '"';
}

void write_double(double v, std::string& out) {
  if (!std::isfinite(v)) {  // JSON has no word for it
    out += "null";
    return;
  }
  char text[40];
  const auto end = std::to_chars(text, text + sizeof text, v).ptr;  // the shortest that reads back equal
  const std::string_view digits(text, static_cast<size_t>(end - text));
  out += digits;
  if (digits.find_first_of(".e") == std::string_view::npos) out += ".0";
}

void write(const Json& json, std::string& out) {  // NOLINT(misc-no-recursion): the depth is bounded where values are made
  const auto list = [&](char open, char close, const auto& items, const auto& each) {
    out += open;
    bool first = true;
    for (const auto& item : items) {
      if (!first) out += ',';
      first = false;
      each(item);
    }
    out += close;
  };
  switch (json.value.index()) {
    case 0:
      out += "null";
      break;
    case 1:
      out += *std::get_if<bool>(&json.value) ? "true" : "false";
      break;
    case 2:
      out += std::to_string(*std::get_if<int64_t>(&json.value));
      break;
    case 3:
      out += std::to_string(*std::get_if<uint64_t>(&json.value));
      break;
    case 4:
      write_double(*std::get_if<double>(&json.value), out);
      break;
    case 5:
      write_string(*json.string(), out);
      break;
    case 6:
      list('[', ']', json.array(), [&](const Json& item) { write(item, out); });
      break;
    default:
      list('{', '}', json.object(), [&](const Json::Member& member) {
        write_string(member.first, out);
        out += ':';
        write(member.second, out);
      });
  }
}

}  // namespace

const Json* Json::find(std::string_view key) const {
  const auto at = std::find_if(object().begin(), object().end(), [&](const Member& m) { return m.first == key; });
  return at == object().end() ? nullptr : &at->second;
}

void Json::set(std::string_view key, Json member) {
  const auto at = std::find_if(object().begin(), object().end(), [&](const Member& m) { return m.first == key; });
  if (at != object().end()) {
    at->second = std::move(member);
  } else {
    object().emplace_back(std::string(key), std::move(member));
  }
}

Result<Json> parse_json(std::string_view text, const char* what) {
  Reader reader(what);
  const bool done = nlohmann::json::sax_parse(text.begin(), text.end(), &reader);
  KL_TRY(reader.status);
  if (!done) return error(Code::invalid_argument, "%s: not JSON", what);
  return std::move(reader.root);
}

std::string to_text(const Json& json) {
  std::string out;
  write(json, out);
  return out;
}

}  // namespace kl
