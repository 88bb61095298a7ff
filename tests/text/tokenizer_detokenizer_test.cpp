// Streams of text are valid UTF-8, hold back little, and add up (bar A10).
#include "text/detokenizer.h"
#include "tokenizer_fixtures.h"
#include "tokenizer_texts.h"

namespace kl::test {
namespace {

std::shared_ptr<const Vocabulary> vocabulary_of(const std::shared_ptr<const Tokenizer>& tokenizer) {
  return {tokenizer, &tokenizer->vocabulary()};
}

// The same rules as the stream's, on all bytes at once.
std::string replaced(std::string_view bytes) {
  std::string out;
  while (!bytes.empty()) {
    const Utf8Front front = utf8_front(bytes);
    out += front.valid ? bytes.substr(0, front.length) : kReplacement;
    bytes.remove_prefix(front.length);
  }
  return out;
}

// Feeds ids one by one and holds every chunk to the contract.
std::string streamed(const std::shared_ptr<const Vocabulary>& vocabulary, const std::vector<TokenId>& ids,
                     const Detokenizer::Options& options) {
  Detokenizer stream(vocabulary, options);
  std::string all;
  for (const TokenId id : ids) {
    std::string chunk;
    EXPECT_TRUE(stream.push(id, chunk).ok());
    EXPECT_EQ(utf8_valid_prefix(chunk), chunk.size()) << "token " << id;
    EXPECT_LE(stream.held_bytes(), 3U);
    all += chunk;
  }
  stream.finish(all);
  EXPECT_EQ(stream.held_bytes(), 0U);
  EXPECT_EQ(utf8_valid_prefix(all), all.size());
  return all;
}

TEST(Detokenizer, Utf8FrontFollowsTheTableOfWellFormedSequences) {
  EXPECT_TRUE(utf8_front("\u00e9").valid);
  EXPECT_TRUE(utf8_front("\U0010FFFF").valid);
  EXPECT_EQ(utf8_front("\U0001F600").value, U'\U0001F600');
  for (const char* wrong :
       {"\xC0\xAF", "\x80", "\xF5\x80\x80\x80", "\xFF", "\xC3(", "\xE0\x9F\xBF", "\xED\xA0\x80", "\xF0\x8F\xBF\xBF", "\xF4\x90\x80\x80"}) {
    EXPECT_FALSE(utf8_front(wrong).valid) << wrong;
    EXPECT_FALSE(utf8_front(wrong).cut) << wrong;
    EXPECT_EQ(utf8_front(wrong).length, 1U) << wrong;
  }
  EXPECT_TRUE(utf8_front("\xF0\x9F\x98").cut);
  EXPECT_EQ(utf8_front("\xF0\x9F\x98(").length, 3U) << "one U+FFFD for a maximal part";
}

TEST(Detokenizer, EveryPairOfByteTokensStreamsAsValidText) {
  for (const char* name : {"gpt-2", "llama-spm"}) {
    const auto vocabulary = vocabulary_of(load_tokenizer(name));
    for (uint32_t a = 0; a < 256; ++a) {
      for (uint32_t b = 0; b < 256; ++b) {
        const auto first = vocabulary->byte_token(static_cast<uint8_t>(a)), second = vocabulary->byte_token(static_cast<uint8_t>(b));
        ASSERT_TRUE(first && second) << name;
        const std::string bytes = {static_cast<char>(a), static_cast<char>(b)};
        EXPECT_EQ(streamed(vocabulary, {*first, *second}, {.text_start = false}), replaced(bytes)) << name << " " << a << " " << b;
      }
    }
  }
}

TEST(Detokenizer, RandomTokensStreamAsTheirBytesDo) {
  for (const char* name : {"gpt-2", "falcon", "deepseek-llm", "llama-spm", "phi-3", "smollm2", "qwen3"}) {
    const auto vocabulary = vocabulary_of(load_tokenizer(name));
    SplitMix random(11);
    for (int round = 0; round < 20000; ++round) {
      std::vector<TokenId> ids;
      std::string bytes;
      const bool mostly_bytes = random.below(2) != 0;
      for (uint64_t n = 1 + random.below(12); n > 0; --n) {
        auto id = static_cast<TokenId>(random.below(vocabulary->size()));
        if (mostly_bytes) id = vocabulary->byte_token(static_cast<uint8_t>(0x80 + random.below(128))).value_or(id);
        ids.push_back(id);
        if (!vocabulary->is_special(id)) bytes += vocabulary->piece(id);
      }
      const std::string all = streamed(vocabulary, ids, {.text_start = false});
      EXPECT_EQ(all, replaced(bytes)) << name;
      const auto batch = detokenize(vocabulary, ids, {.text_start = false});
      ASSERT_TRUE(batch.ok());
      EXPECT_EQ(*batch, all);
    }
  }
}

TEST(Detokenizer, RandomTextsComeBackThroughTheStream) {
  for (const char* name : {"gpt-2", "falcon", "deepseek-llm"}) {
    const auto tokenizer = load_tokenizer(name);
    SplitMix random(13);
    for (int round = 0; round < 5000; ++round) {
      std::string text = random_text(random);
      std::erase_if(text, [&](char c) { return !tokenizer->vocabulary().byte_token(static_cast<uint8_t>(c)); });  // Falcon has no \v
      EXPECT_EQ(streamed(vocabulary_of(tokenizer), content_ids(*tokenizer, text), {}), text) << name;
    }
  }
}

TEST(Detokenizer, QwenGivesTextBackInNormalFormC) {
  const auto tokenizer = load_tokenizer("qwen3");
  EXPECT_EQ(streamed(vocabulary_of(tokenizer), content_ids(*tokenizer, "re\u0301sume\u0301 \u212b"), {}), "r\u00e9sum\u00e9 \u00c5");
}

TEST(Detokenizer, SpecialTokensLeaveNothingUnlessAskedFor) {
  const auto tokenizer = load_tokenizer("smollm2");
  const auto ids = tokenizer->encode("<|im_start|>user\nHi<|im_end|>", true, {});
  ASSERT_TRUE(ids.ok());
  EXPECT_EQ(streamed(vocabulary_of(tokenizer), *ids, {}), "user\nHi");
  EXPECT_EQ(streamed(vocabulary_of(tokenizer), *ids, {.render_special = true}), "<|im_start|>user\nHi<|im_end|>");
}

TEST(Detokenizer, ACharacterCutByARenderedSpecialTokenIsReplacedBeforeIt) {
  const auto tokenizer = load_tokenizer("gpt-2");
  const auto vocabulary = vocabulary_of(tokenizer);
  const std::vector<TokenId> ids = {*vocabulary->byte_token(0xE4), 50256, *vocabulary->byte_token('a')};
  EXPECT_EQ(streamed(vocabulary, ids, {.render_special = true}), "\uFFFD<|endoftext|>a");
}

TEST(Detokenizer, TheSpaceThatEncodingPutInFrontIsTakenOffAtTheStartOfATextOnly) {
  const auto tokenizer = load_tokenizer("llama-spm");
  const auto vocabulary = vocabulary_of(tokenizer);
  for (const char* text : {"Hello world", " two", "\nline", ""}) {
    const auto ids = tokenizer->encode(text, false, {});
    ASSERT_TRUE(ids.ok());
    EXPECT_EQ(streamed(vocabulary, *ids, {}), text);
  }
  const auto hello = content_ids(*tokenizer, "Hello");
  EXPECT_EQ(streamed(vocabulary, hello, {.text_start = false}), " Hello");
}

TEST(Detokenizer, AnIdOutsideTheVocabularyIsAnErrorAndChangesNothing) {
  const auto tokenizer = load_tokenizer("gpt-2");
  Detokenizer stream(vocabulary_of(tokenizer), {});
  std::string out;
  ASSERT_TRUE(stream.push(*tokenizer->vocabulary().byte_token(0xC3), out).ok());
  for (const TokenId id : {-1, 50257, INT32_MAX, INT32_MIN}) EXPECT_EQ(stream.push(id, out).code(), Code::invalid_argument) << id;
  ASSERT_TRUE(stream.push(*tokenizer->vocabulary().byte_token(0xA9), out).ok());
  EXPECT_EQ(out, "\u00e9");
}

}  // namespace
}  // namespace kl::test
