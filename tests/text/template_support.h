// Files and JSON of the template tests.
#pragma once
#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>

#include "text/chat_template.h"

namespace kl::template_test {

inline std::string read_file(const std::string& path) {
  std::ifstream file(std::string(KL_TEST_DATA) + "/" + path, std::ios::binary);
  EXPECT_TRUE(file.good()) << path;
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

inline nlohmann::ordered_json read_json(const std::string& path) { return nlohmann::ordered_json::parse(read_file(path)); }

// Parses and renders in one go; the time stands still at the goldens' moment.
inline Result<Rendered> render(const std::string& source, const jinja::Value& context, jinja::Limits limits = {}) {
  auto parsed = ChatTemplate::parse(source);
  if (!parsed.ok()) return parsed.status();
  RenderOptions options;
  options.now = jinja::CivilTime{2025, 3, 4, 5, 6, 7};
  options.limits = limits;
  return parsed->render(context, options);
}

inline Result<Rendered> render(const std::string& source, const std::string& json = "{}", jinja::Limits limits = {}) {
  auto context = context_from_json(json);
  if (!context.ok()) return context.status();
  return render(source, *context, limits);
}

}  // namespace kl::template_test
