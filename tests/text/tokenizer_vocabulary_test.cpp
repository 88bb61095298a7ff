// A vocabulary contradicts itself: an error that names where (rules R3, R8, R27). And what files leave unsaid.
#include <cmath>
#include <limits>
#include <set>

#include "support/gguf_writer.h"
#include "text/detokenizer.h"
#include "tokenizer_fixtures.h"
#include "tokenizer_texts.h"

namespace kl::test {
namespace {

OwnedVocabulary tiny_spm() {
  OwnedVocabulary v;
  v.data.kind = VocabularyKind::spm;
  v.texts = {"<unk>", "<s>", "</s>", "<0x0A>", "<0xfF>", "\u2581", "a", "\u2581a"};
  v.kinds = {2, 3, 3, 6, 6, 1, 1, 1};
  v.scores = {0, 0, 0, 0, 0, -1, -2, -3};
  v.data.unk = 0, v.data.bos = 1, v.data.eos = 2;
  return v;
}

OwnedVocabulary tiny_bpe() {
  OwnedVocabulary v;
  v.data.pretokenizer = "gpt-2";
  v.texts = {"a", "b", "ab", "<|endoftext|>", ""};
  v.kinds = {1, 1, 1, 3, 5};
  v.joins = {"a b"};
  return v;
}

void expect_refused(OwnedVocabulary v, Code code, const std::string& part) {
  const auto made = v.create();
  ASSERT_FALSE(made.ok()) << part;
  EXPECT_EQ(made.status().code(), code) << made.status().message();
  EXPECT_NE(made.status().message().find(part), std::string::npos) << made.status().message();
}

TEST(Vocabulary, SizesThatDisagreeAreErrors) {
  EXPECT_TRUE(tiny_spm().create().ok());
  EXPECT_TRUE(tiny_bpe().create().ok());
  auto v = tiny_spm();
  v.scores.pop_back();
  expect_refused(v, Code::corrupt, "7 token scores for 8 tokens");
  v = tiny_spm();
  v.kinds.push_back(1);
  expect_refused(v, Code::corrupt, "9 token types for 8 tokens");
  v = tiny_bpe();
  v.texts.clear();
  expect_refused(v, Code::corrupt, "a vocabulary of 0 tokens");
}

TEST(Vocabulary, NumbersOutOfRangeAreErrors) {
  for (const int64_t kind : {int64_t{-1}, int64_t{7}, std::numeric_limits<int64_t>::min(), int64_t{1} << 32}) {
    auto v = tiny_bpe();
    v.kinds[1] = kind;
    expect_refused(v, Code::corrupt, "token 1 has type");
  }
  for (const float score : {std::numeric_limits<float>::infinity(), std::nanf("")}) {
    auto v = tiny_spm();
    v.scores[6] = score;
    expect_refused(v, Code::corrupt, "score of token 6");
  }
  for (const uint64_t id : {uint64_t{5}, uint64_t{1} << 31, uint64_t{1} << 32, ~uint64_t{0}}) {
    for (const auto member : {&VocabularyData::bos, &VocabularyData::eos, &VocabularyData::eot, &VocabularyData::eom, &VocabularyData::unk,
                              &VocabularyData::pad}) {
      auto v = tiny_bpe();
      v.data.*member = id;
      expect_refused(v, Code::corrupt, "but there are 5 tokens");
    }
    auto v = tiny_bpe();
    v.data.strip_right = std::span(&id, 1);
    expect_refused(v, Code::corrupt, "strips white space");
  }
  auto v = tiny_bpe();
  v.data.add_bos = true;
  expect_refused(v, Code::corrupt, "bos token is to be added");
  v = tiny_bpe();
  v.data.add_eos = true;
  expect_refused(v, Code::corrupt, "eos token is to be added");
}

TEST(Vocabulary, TwoTokensWithOneTextAreAnError) {
  auto v = tiny_bpe();
  v.texts[1] = "a";
  v.joins.clear();
  expect_refused(v, Code::corrupt, "tokens 0 and 1 are both \"a\"");
}

TEST(Vocabulary, MergesThatAreNotTwoTokensMakingAThirdAreErrors) {
  for (const char* merge : {"", " ", "a", "a ", " a", "ab", "a c", "c a", "b a", "a b c", "a  b", "a b "}) {
    auto v = tiny_bpe();
    v.joins.emplace_back(merge);
    expect_refused(v, Code::corrupt, "merge 1");
  }
}

// llama.cpp took "<0x-1>" for byte -1 and wrote outside its table.
TEST(Vocabulary, ByteTokensAreTwoHexadecimalDigitsAndNothingElse) {
  for (const char* text :
       {"<0x-1>", "<0x+1>", "<0x 1>", "<0x1>", "<0x001>", "<0xGG>", "<0x1G>", "<0X0A>", "0x0A", "<0x0A", "x", "<0x0a>>", "<0x\t1>"}) {
    auto v = tiny_spm();
    v.texts[4] = text;
    expect_refused(v, Code::corrupt, "byte token 4");
  }
  const auto good = tiny_spm().create();
  ASSERT_TRUE(good.ok());
  EXPECT_EQ((*good)->byte_token(0x0A), 3);
  EXPECT_EQ((*good)->byte_token(0xFF), 4) << "lower-case digits are digits";
  EXPECT_EQ((*good)->byte_token(0x0B), std::nullopt);
}

TEST(Vocabulary, UnknownCharactersBecomeTheUnknownTokenWhereBytesAreMissing) {
  auto v = tiny_spm();
  v.data.add_space_prefix = true;
  const auto t = tokenizer_of(v.create());
  ASSERT_NE(t, nullptr);
  EXPECT_EQ(content_ids(*t, "a\nz"), (std::vector<TokenId>{7, 3, 0}));
  EXPECT_EQ(content_ids(*t, "a\xff"), (std::vector<TokenId>{7, 4}));
}

TEST(Vocabulary, EndOfTurnTokensAreFoundByNameAndBecomeControlTokens) {
  auto v = tiny_bpe();
  v.texts.insert(v.texts.end(), {"<|im_end|>", "<think>", "<|fim_prefix|>"});
  v.kinds.insert(v.kinds.end(), {4, 4, 1});
  const auto made = v.create();
  ASSERT_TRUE(made.ok());
  EXPECT_EQ((*made)->token_kind(5), TokenKind::control);
  EXPECT_EQ((*made)->token_kind(6), TokenKind::user_defined);
  EXPECT_EQ((*made)->token_kind(7), TokenKind::control);
  EXPECT_TRUE((*made)->is_end(3));
  EXPECT_TRUE((*made)->is_end(5));
  EXPECT_FALSE((*made)->is_end(7));
  EXPECT_EQ((*made)->eot(), 3);
}

TEST(Vocabulary, AnEverydayWordThatLooksLikeAnEndTokenStaysAWord) {
  auto v = tiny_bpe();
  v.texts = {"<", "/s>", "</s>"};
  v.kinds = {1, 1, 1};
  v.joins = {"< /s>"};
  const auto html = v.create();
  ASSERT_TRUE(html.ok());
  EXPECT_EQ((*html)->token_kind(2), TokenKind::normal);
  EXPECT_TRUE((*html)->end_ids().empty());
  const auto sentence = tiny_spm().create();
  ASSERT_TRUE(sentence.ok());
  EXPECT_TRUE((*sentence)->is_end(2));
}

TEST(Vocabulary, BytesThatTheVocabularyLacksLeaveNothingAndNeverTheEndOfText) {
  auto v = tiny_bpe();
  v.data.unk = 3;  // SmolLM2's file names <|endoftext|> as the unknown token
  const auto t = tokenizer_of(v.create());
  ASSERT_NE(t, nullptr);
  EXPECT_EQ(content_ids(*t,
                        "a\x04z\xff"
                        "b"),
            (std::vector<TokenId>{0, 1}));
}

TEST(Vocabulary, AnUnknownPretokenizerIsNamed) {
  auto v = tiny_bpe();
  v.data.pretokenizer = "gpt-99";
  expect_refused(v, Code::unsupported, "\"gpt-99\"");
  v.data.pretokenizer = "gpt-2 phi-2";
  expect_refused(v, Code::unsupported, "gpt-2 phi-2");
}

// From a GGUF file's metadata.

GgufWriter small_gguf(const char* model) {
  GgufWriter file;
  file.string("general.architecture", "llama").string("tokenizer.ggml.model", model);
  file.strings("tokenizer.ggml.tokens", {"<unk>", "<s>", "</s>", "\u2581", "a", "\u2581a"});
  file.floats("tokenizer.ggml.scores", {0, 0, 0, -1, -2, -3}).ints("tokenizer.ggml.token_type", {2, 3, 3, 1, 1, 1});
  return file;
}

Result<std::shared_ptr<const Vocabulary>> read(GgufWriter& file) {
  const auto bytes = file.bytes();
  auto gguf = Gguf::open_memory(bytes);
  if (!gguf.ok()) return gguf.status();
  return vocabulary_from_gguf((*gguf)->metadata());
}

TEST(VocabularyFromGguf, WhatALlamaFileLeavesUnsaidIsSentencePiecesConvention) {
  auto file = small_gguf("llama");
  const auto made = read(file);
  ASSERT_TRUE(made.ok()) << made.status().message();
  EXPECT_EQ((*made)->unk(), 0);
  EXPECT_EQ((*made)->bos(), 1);
  EXPECT_EQ((*made)->eos(), 2);
  EXPECT_TRUE((*made)->add_bos());
  EXPECT_FALSE((*made)->add_eos());
  EXPECT_TRUE((*made)->add_space_prefix());
}

TEST(VocabularyFromGguf, GemmaPutsNoSpaceInFront) {
  auto file = small_gguf("llama");
  file.boolean("tokenizer.ggml.add_space_prefix", false);
  const auto t = tokenizer_of(read(file));
  ASSERT_NE(t, nullptr);
  EXPECT_EQ(content_ids(*t, "a a"), (std::vector<TokenId>{4, 5}));
}

TEST(VocabularyFromGguf, TokenizerModelsOfOtherKindsAreNamed) {
  for (const char* model : {"bert", "t5", "rwkv", "plamo2", ""}) {
    auto file = small_gguf(model);
    const auto made = read(file);
    ASSERT_FALSE(made.ok());
    EXPECT_EQ(made.status().code(), Code::unsupported);
    EXPECT_NE(made.status().message().find('"' + std::string(model) + '"'), std::string::npos) << made.status().message();
  }
}

TEST(VocabularyFromGguf, KeysOfAnotherTypeOrOutsideTheVocabularyAreErrors) {
  const auto refused = [](auto change) {
    auto file = small_gguf("llama");
    change(file);
    const auto made = read(file);
    EXPECT_EQ(made.status().code(), Code::corrupt) << made.status().message();
  };
  refused([](GgufWriter& f) { f.u32("tokenizer.ggml.bos_token_id", 6); });
  refused([](GgufWriter& f) { f.i32("tokenizer.ggml.eos_token_id", -1); });
  refused([](GgufWriter& f) { f.string("tokenizer.ggml.padding_token_id", "1"); });
  refused([](GgufWriter& f) { f.u32("tokenizer.ggml.add_bos_token", 1); });
  refused([](GgufWriter& f) { f.ints("tokenizer.ggml.merges", {1}); });
  auto trims = small_gguf("llama");
  trims.boolean("tokenizer.ggml.remove_extra_whitespaces", true);
  EXPECT_EQ(read(trims).status().code(), Code::unsupported);
  GgufWriter empty;
  empty.string("general.architecture", "llama");
  EXPECT_FALSE(read(empty).ok());
}

}  // namespace
}  // namespace kl::test
