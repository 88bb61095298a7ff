#include "text/pretokenizer.h"

#include <utf8proc.h>

#include <algorithm>
#include <cstdlib>

#include "core/quote.h"
#include "text/tokenizer_utf8.h"
#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

namespace kl {
namespace {

struct CodeFree {
  void operator()(pcre2_code* code) const { pcre2_code_free(code); }
};
struct MatchFree {
  void operator()(pcre2_match_data* data) const { pcre2_match_data_free(data); }
};
struct ContextFree {
  void operator()(pcre2_match_context* context) const { pcre2_match_context_free(context); }
};
struct StackFree {
  void operator()(pcre2_jit_stack* stack) const { pcre2_jit_stack_free(stack); }
};
using Pattern = std::unique_ptr<pcre2_code, CodeFree>;

std::string pcre_message(int number) {
  PCRE2_UCHAR8 text[128] = {};
  pcre2_get_error_message(number, text, sizeof text);
  return reinterpret_cast<const char*>(text);
}

// PCRE2's own \s also takes U+180E, which left White_Space in Unicode 6.3.
std::string with_unicode_spaces(std::string_view pattern) {
  std::string out;
  for (size_t i = 0; i < pattern.size(); ++i) {
    const bool escape = pattern[i] == '\\' && i + 1 < pattern.size();
    if (escape && (pattern[i + 1] == 's' || pattern[i + 1] == 'S')) {
      out += pattern[i + 1] == 's' ? "\\p{White_Space}" : "\\P{White_Space}";
      ++i;
    } else {
      out += pattern[i];
      if (escape) out += pattern[++i];
    }
  }
  return out;
}

// What one split() needs besides the patterns.
struct Matcher {
  std::unique_ptr<pcre2_match_data, MatchFree> data{pcre2_match_data_create(1, nullptr)};
  std::unique_ptr<pcre2_match_context, ContextFree> context{pcre2_match_context_create(nullptr)};
  std::unique_ptr<pcre2_jit_stack, StackFree> stack;

  int match(const pcre2_code* code, std::string_view text, size_t start) {
    const auto* subject = reinterpret_cast<PCRE2_SPTR8>(text.data());
    constexpr uint32_t kOptions = PCRE2_NO_UTF_CHECK | PCRE2_NOTEMPTY;
    int found = pcre2_match(code, subject, text.size(), start, kOptions, data.get(), context.get());
    if (found == PCRE2_ERROR_JIT_STACKLIMIT && !stack) {
      // The first tries run on 32 KiB of the thread's own stack, enough for every text but odd ones.
      stack.reset(pcre2_jit_stack_create(size_t{64} << 10U, size_t{16} << 20U, nullptr));
      if (!stack) return PCRE2_ERROR_NOMEMORY;
      pcre2_jit_stack_assign(context.get(), nullptr, stack.get());
      found = pcre2_match(code, subject, text.size(), start, kOptions, data.get(), context.get());
    }
    return found;
  }
};

class PcrePretokenizer final : public Pretokenizer {
 public:
  std::vector<Pattern> patterns;

  Status split(std::string_view text, std::vector<size_t>& ends) const override {
    ends.clear();
    if (text.empty()) return {};
    ends.push_back(text.size());
    Matcher matcher;
    if (!matcher.data || !matcher.context) return error(Code::out_of_memory, "no memory for a pattern match");
    // A run of white space is tried once per alternative, a constant number of steps per byte; what asks for more is stopped.
    pcre2_set_match_limit(matcher.context.get(), static_cast<uint32_t>(std::min<size_t>(1'000'000 + text.size() * 64, UINT32_MAX)));
    pcre2_set_heap_limit(matcher.context.get(), 256U << 10U);  // KiB, for the interpreter where there is no JIT
    std::vector<size_t> next;
    for (const auto& pattern : patterns) {
      next.clear();
      size_t begin = 0;
      for (const size_t end : ends) {
        KL_TRY(split_piece(pattern.get(), text.substr(begin, end - begin), begin, matcher, next));
        begin = end;
      }
      ends.swap(next);
    }
    return {};
  }

 private:
  // The pieces of one piece, which starts at byte `base` of the text.
  static Status split_piece(const pcre2_code* code, std::string_view piece, size_t base, Matcher& matcher, std::vector<size_t>& ends) {
    size_t done = 0;  // pieces are cut up to here
    while (done < piece.size()) {
      const int found = matcher.match(code, piece, done);
      if (found == PCRE2_ERROR_NOMATCH) break;
      if (found < 0) {
        return error(Code::invalid_argument, "a text of %zu bytes cannot be cut into words: %s at byte %zu", piece.size(),
                     pcre_message(found).c_str(), base + done);
      }
      const PCRE2_SIZE* at = pcre2_get_ovector_pointer(matcher.data.get());
      if (at[0] > done) ends.push_back(base + at[0]);
      ends.push_back(base + at[1]);
      done = at[1];
    }
    if (done < piece.size()) ends.push_back(base + piece.size());
    return {};
  }
};

}  // namespace

Result<std::unique_ptr<const Pretokenizer>> Pretokenizer::create(const PretokenizerRecipe& recipe) {
  auto made = std::make_unique<PcrePretokenizer>();
  for (const char* pattern : recipe.patterns) {
    if (pattern == nullptr) break;
    const std::string text = with_unicode_spaces(pattern);
    int number = 0;
    PCRE2_SIZE offset = 0;
    Pattern code(pcre2_compile(reinterpret_cast<PCRE2_SPTR8>(text.data()), text.size(), PCRE2_UTF | PCRE2_UCP | PCRE2_NEVER_BACKSLASH_C,
                               &number, &offset, nullptr));
    if (!code) {
      return error(Code::internal, "pre-tokenizer pattern %s: %s at byte %zu", quoted(text).c_str(), pcre_message(number).c_str(),
                   static_cast<size_t>(offset));
    }
    pcre2_jit_compile(code.get(), PCRE2_JIT_COMPLETE);  // where it cannot, the interpreter runs
    made->patterns.push_back(std::move(code));
  }
  return std::unique_ptr<const Pretokenizer>(std::move(made));
}

std::string normalized_nfc(std::string_view text) {
  // Below U+0300 (bytes CC 80) nothing changes and nothing composes.
  const bool simple = std::all_of(text.begin(), text.end(), [](char c) { return static_cast<uint8_t>(c) < 0xCC; });
  if (simple) return std::string(text);
  constexpr int kMostMarks = 1000;
  int marks = 0;
  for (size_t at = 0; at < text.size();) {
    const Utf8Front front = utf8_front(text.substr(at));
    marks = front.value >= 0x300 && utf8proc_get_property(static_cast<utf8proc_int32_t>(front.value))->combining_class != 0 ? marks + 1 : 0;
    if (marks > kMostMarks) return std::string(text);
    at += front.length;
  }
  utf8proc_uint8_t* made = nullptr;
  const utf8proc_ssize_t length =
      utf8proc_map(reinterpret_cast<const utf8proc_uint8_t*>(text.data()), static_cast<utf8proc_ssize_t>(text.size()), &made,
                   static_cast<utf8proc_option_t>(UTF8PROC_STABLE | UTF8PROC_COMPOSE));
  std::string out = length < 0 ? std::string(text) : std::string(reinterpret_cast<const char*>(made), static_cast<size_t>(length));
  std::free(made);
  return out;
}

}  // namespace kl
