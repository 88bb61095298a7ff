// JSON to template variables, through nlohmann's event parser: no exceptions, no recursion, nothing built twice.
#include <algorithm>
#include <limits>
#include <nlohmann/json.hpp>

#include "text/chat_template.h"

namespace kl {
namespace {

constexpr size_t kMaxJsonDepth = 64;

class Reader {
 public:
  using number_integer_t = nlohmann::json::number_integer_t;
  using number_unsigned_t = nlohmann::json::number_unsigned_t;
  using number_float_t = nlohmann::json::number_float_t;
  using string_t = nlohmann::json::string_t;
  using binary_t = nlohmann::json::binary_t;

  explicit Reader(const TrustedNames& trusted) : trusted_(trusted) {}

  bool null() { return add(jinja::Value::none()); }
  bool boolean(bool b) { return add(jinja::Value::boolean(b)); }
  bool number_integer(number_integer_t i) { return add(jinja::Value::integer(i)); }
  bool number_unsigned(number_unsigned_t u) {
    if (u > static_cast<number_unsigned_t>(std::numeric_limits<int64_t>::max())) {
      return fail(error(Code::unsupported, "the integer %llu does not fit 64 bits", static_cast<unsigned long long>(u)));
    }
    return add(jinja::Value::integer(static_cast<int64_t>(u)));
  }
  bool number_float(number_float_t d, const string_t& text) {
    if (text.find_first_of(".eE") == string_t::npos)
      return fail(error(Code::unsupported, "the integer %s does not fit 64 bits", text.c_str()));
    return add(jinja::Value::real(d));
  }
  bool string(string_t& text) {
    const bool vouched = vouched_for(text);
    return add(jinja::Value::string(std::move(text), vouched));
  }
  bool binary(binary_t&) { return fail(error(Code::unsupported, "binary values")); }
  bool start_object(size_t) { return open(true); }
  bool start_array(size_t) { return open(false); }
  bool key(string_t& name) {
    levels_.back().key = std::move(name);
    return true;
  }
  bool end_object() {
    Level level = std::move(levels_.back());
    levels_.pop_back();
    return add(jinja::Value::dict(std::move(level.entries), false));
  }
  bool end_array() {
    Level level = std::move(levels_.back());
    levels_.pop_back();
    return add(jinja::Value::list(std::move(level.items)));
  }
  bool parse_error(size_t position, const string_t&, const nlohmann::detail::exception& what) {
    if (what.id == 406) return fail(error(Code::unsupported, "a number at byte %zu is outside the range of a float", position));
    return fail(error(Code::invalid_argument, "not valid JSON near byte %zu", position));
  }

  Result<jinja::Value> result() {
    if (!status_.ok()) return status_.at("template variables");
    if (!root_.is(jinja::Kind::dict)) return error(Code::invalid_argument, "template variables: expected a JSON object");
    return root_;
  }

 private:
  struct Level {
    bool object = false;
    std::string key;
    std::vector<std::pair<std::string, jinja::Value>> entries;
    std::vector<jinja::Value> items;
  };

  bool fail(Status status) {
    if (status_.ok()) status_ = std::move(status);
    return false;
  }
  bool open(bool object) {
    if (levels_.size() >= kMaxJsonDepth) return fail(error(Code::unsupported, "JSON nested deeper than %zu", kMaxJsonDepth));
    levels_.emplace_back().object = object;
    return true;
  }
  bool add(jinja::Value value) {
    if (levels_.empty()) {
      root_ = std::move(value);
    } else if (levels_.back().object) {
      levels_.back().entries.emplace_back(std::move(levels_.back().key), std::move(value));
    } else {
      levels_.back().items.push_back(std::move(value));
    }
    return true;
  }

  // A top-level variable of the list, or messages[i].role with a role of the list.
  bool vouched_for(const std::string& text) const {
    const auto listed = [](const std::vector<std::string>& names, const std::string& name) {
      return std::find(names.begin(), names.end(), name) != names.end();
    };
    if (levels_.size() == 1) return levels_[0].object && listed(trusted_.variables, levels_[0].key);
    return levels_.size() == 3 && levels_[0].object && levels_[0].key == "messages" && !levels_[1].object && levels_[2].object &&
           levels_[2].key == "role" && listed(trusted_.roles, text);
  }

  const TrustedNames& trusted_;
  std::vector<Level> levels_;
  jinja::Value root_;
  Status status_;
};

}  // namespace

Result<jinja::Value> context_from_json(std::string_view json, const TrustedNames& trusted) {
  Reader reader(trusted);
  nlohmann::json::sax_parse(json.begin(), json.end(), &reader);
  return reader.result();
}

}  // namespace kl
