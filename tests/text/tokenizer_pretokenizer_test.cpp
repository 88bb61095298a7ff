// Words, and that no text makes them or their encoding slow.
#include <set>

#include "text/pretokenizer.h"
#include "tokenizer_fixtures.h"
#include "tokenizer_texts.h"

namespace kl::test {
namespace {

std::vector<std::string> words(std::string_view recipe, std::string_view text) {
  const PretokenizerRecipe* found = find_pretokenizer(recipe);
  EXPECT_NE(found, nullptr) << recipe;
  if (found == nullptr) return {};
  const auto made = Pretokenizer::create(*found);
  EXPECT_TRUE(made.ok()) << made.status().message();
  std::vector<size_t> ends;
  EXPECT_TRUE(made.ok() && (*made)->split(text, ends).ok());
  std::vector<std::string> out;
  size_t begin = 0;
  for (const size_t end : ends) {
    EXPECT_GT(end, begin);
    out.emplace_back(text.substr(begin, end - begin));
    begin = end;
  }
  EXPECT_EQ(begin, text.size());
  return out;
}

using Words = std::vector<std::string>;

TEST(Pretokenizer, EveryRecipeCompilesAndCutsRandomTextWithoutRest) {
  std::set<std::string> names;
  for (const PretokenizerRecipe& recipe : pretokenizer_recipes()) {
    const auto made = Pretokenizer::create(recipe);
    ASSERT_TRUE(made.ok()) << recipe.names << ": " << made.status().message();
    for (const std::string& name : split_at(recipe.names, " ")) {
      EXPECT_TRUE(names.insert(name).second) << name << " is in two recipes";
      EXPECT_EQ(find_pretokenizer(name), &recipe) << name;
    }
    SplitMix random(3);
    std::vector<size_t> ends;
    for (int i = 0; i < 300; ++i) {
      const std::string text = random_text(random);
      ASSERT_TRUE((*made)->split(text, ends).ok()) << recipe.names;
      size_t begin = 0;
      for (const size_t end : ends) {
        ASSERT_GT(end, begin) << recipe.names;
        begin = end;
      }
      ASSERT_EQ(begin, text.size()) << recipe.names;
    }
  }
  EXPECT_EQ(find_pretokenizer(""), nullptr);
}

TEST(Pretokenizer, WordsAreTheOnesEachPatternSays) {
  EXPECT_EQ(words("gpt-2", "I'm  here 2024!"), (Words{"I", "'m", " ", " here", " 2024", "!"}));
  EXPECT_EQ(words("smollm", "a 12"), (Words{"a", " ", "1", "2"}));
  EXPECT_EQ(words("llama-bpe", "I'M 12345\n\n x"), (Words{"I", "'M", " ", "123", "45", "\n\n", " x"}));
  EXPECT_EQ(words("qwen2", "a1 b"), (Words{"a", "1", " b"}));
  EXPECT_EQ(words("gpt-4o", "HelloWorld's DON'T"), (Words{"Hello", "World's", " DON'T"}));
  EXPECT_EQ(words("tekken", "HelloWorld 12"), (Words{"Hello", "World", " ", "1", "2"}));
  EXPECT_EQ(words("falcon", "a, 12345"), (Words{"a", ",", " ", "123", "45"}));
  EXPECT_EQ(words("deepseek-v3", "\u4f60\u597d1234ab"), (Words{"\u4f60\u597d", "123", "4", "ab"}));
  EXPECT_EQ(words("gemma4", "a b\n\nc"), (Words{"a b", "\n\n", "c"}));
}

TEST(Pretokenizer, WhiteSpaceIsUnicodesWhiteSpace) {
  EXPECT_EQ(words("gpt-2", "a\u3000\u00a0b"), (Words{"a", "\u3000", "\u00a0", "b"}));
  EXPECT_EQ(words("gpt-2", "a\u180eb"), (Words{"a", "\u180e", "b"}));
  EXPECT_EQ(words("gpt-2", "!\u180e"), (Words{"!\u180e"})) << "U+180E is no white space any more";
}

TEST(Pretokenizer, NormalFormCComposesAndLeavesOtherTextAlone) {
  EXPECT_EQ(normalized_nfc("abc \u00e9"), "abc \u00e9");
  EXPECT_EQ(normalized_nfc("e\u0301"), "\u00e9");
  EXPECT_EQ(normalized_nfc("\u1100\u1161\u11a8"), "\uac01");
  EXPECT_EQ(normalized_nfc("\u212b"), "\u00c5");
  std::string marks = "a";
  for (int i = 0; i < 200000; ++i) marks += i % 2 == 0 ? "\u0301" : "\u0316";
  EXPECT_EQ(normalized_nfc(marks), marks) << "ordering this many marks would take minutes";
}

// A quadratic step would need 10^12 operations here: the test would run into its time limit.
TEST(Pretokenizer, AMegabyteOfOneCharacterEncodesAndComesBack) {
  for (const char* name : {"smollm2", "llama-spm"}) {
    const auto t = load_tokenizer(name);
    ASSERT_NE(t, nullptr);
    for (const std::string_view unit : {"a", " ", "\n", "0", "\u4e00", "\xff", " \n"}) {
      std::string text;
      while (text.size() < (size_t{1} << 20U)) text += unit;
      const auto ids = content_ids(*t, text);
      size_t bytes = 0;
      for (const TokenId id : ids) bytes += t->vocabulary().piece(id).size();
      const bool lacks_byte = unit == "\xff" && !t->vocabulary().byte_token(0xFF);
      EXPECT_EQ(bytes, lacks_byte ? 0 : text.size() + (t->vocabulary().add_space_prefix() ? 1 : 0)) << name << " " << unit;
    }
  }
}

TEST(Pretokenizer, BytesThatAreNotUtf8BecomeByteTokensAndNothingIsLost) {
  for (const char* name : {"gpt-2", "llama-spm"}) {
    const auto t = load_tokenizer(name);
    SplitMix random(17);
    for (int round = 0; round < 20000; ++round) {
      std::string text = random_text(random);
      for (uint64_t n = 1 + random.below(5); n > 0; --n)
        text.insert(random.below(text.size() + 1), 1, static_cast<char>(random.below(256)));
      std::string back;
      for (const TokenId id : content_ids(*t, text)) back += t->vocabulary().piece(id);
      std::string expected = t->vocabulary().add_space_prefix() ? " " + text : text;
      if (t->vocabulary().kind() == VocabularyKind::spm) {
        for (size_t at = 0; (at = expected.find(kSpmSpace, at)) != std::string::npos;) expected.replace(at, kSpmSpace.size(), " ");
      }
      ASSERT_EQ(back, expected) << name;
    }
  }
}

}  // namespace
}  // namespace kl::test
