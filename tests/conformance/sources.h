// The project's own files, read as text.
#pragma once
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

namespace kl::conformance {

struct SourceFile {
  std::string path;  // from the repository's root, with /
  std::string text;

  bool in(const std::string& folder) const { return path.starts_with(folder + "/"); }
  bool is_code() const { return path.ends_with(".h") || path.ends_with(".hpp") || path.ends_with(".cpp") || path.ends_with(".c"); }
  std::vector<std::string> lines() const {
    std::vector<std::string> result;
    size_t begin = 0;
    for (size_t end = 0; (end = text.find('\n', begin)) != std::string::npos; begin = end + 1)
      result.push_back(text.substr(begin, end - begin));
    if (begin < text.size()) result.push_back(text.substr(begin));
    return result;
  }
};

inline std::filesystem::path root() { return std::filesystem::path(KL_TEST_DATA).parent_path(); }

// Everything that is kept under version control and is text; build folders, caches and data are left out.
inline std::vector<SourceFile> all_files() {
  namespace fs = std::filesystem;
  std::vector<SourceFile> files;
  for (auto entry = fs::recursive_directory_iterator(root()); entry != fs::recursive_directory_iterator(); ++entry) {
    const std::string path = fs::relative(entry->path(), root()).generic_string();
    if (entry->is_directory() &&
        (path == "build" || path == ".git" || path == ".cache" || path == "tests/golden" || path == "tests/data")) {
      entry.disable_recursion_pending();
      continue;
    }
    if (!entry->is_regular_file() || path.ends_with(".gguf") || path.ends_with(".npy") || path.ends_with(".pyc") || path == ".git")
      continue;  // (a file in a linked work tree)
    std::ifstream stream(entry->path(), std::ios::binary);
    files.push_back({path, std::string(std::istreambuf_iterator<char>(stream), {})});
  }
  return files;
}

struct Include {
  std::string name;
  bool quoted;
  size_t line;
};

inline std::vector<Include> includes_of(const SourceFile& file) {
  std::vector<Include> result;
  size_t number = 0;
  for (const std::string& line : file.lines()) {
    ++number;
    const size_t hash = line.find_first_not_of(" \t");
    if (hash == std::string::npos || line[hash] != '#') continue;
    const size_t word = line.find_first_not_of(" \t", hash + 1);
    if (word == std::string::npos || !line.substr(word).starts_with("include")) continue;
    const size_t open = line.find_first_of("<\"", word);
    if (open == std::string::npos) continue;
    const size_t close = line.find_first_of(">\"", open + 1);
    if (close == std::string::npos) continue;
    result.push_back({line.substr(open + 1, close - open - 1), line[open] == '"', number});
  }
  return result;
}

}  // namespace kl::conformance
