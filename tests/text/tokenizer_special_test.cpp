// Special tokens: recognised where the template wrote them, never in content (rule R15).
#include <algorithm>
#include <utility>

#include "tokenizer_fixtures.h"
#include "tokenizer_texts.h"

namespace kl::test {
namespace {

// A byte-level vocabulary of all bytes (id = byte), a few merges, and special tokens that are beginnings of each other.
OwnedVocabulary small_bpe() {
  OwnedVocabulary v;
  v.data.pretokenizer = "qwen2";
  for (uint32_t b = 0; b < 256; ++b) {
    std::string text;
    utf8_append(text, byte_to_alphabet(static_cast<uint8_t>(b)));
    v.texts.push_back(text);
  }
  for (const auto& [left, right] : {std::pair{"a", "b"}, {"ab", "c"}, {"<", "e"}, {"<e", ">"}}) {
    v.joins.push_back(std::string(left) + " " + right);
    v.texts.push_back(std::string(left) + right);
  }
  v.kinds.assign(v.texts.size(), 1);
  v.kinds[259] = 3;  // "<e>": a control token that merges would make
  for (const char* text : {"<|x|>", "<|x|><|y|>", "<s>", "</s>"}) v.texts.emplace_back(text), v.kinds.push_back(3);
  v.texts.emplace_back("<think>"), v.kinds.push_back(4);
  v.data.bos = 262, v.data.eos = 263;
  return v;
}
constexpr TokenId kAb = 256, kAbc = 257, kLess = 258, kE = 259, kX = 260, kXy = 261, kBos = 262, kEos = 263, kThink = 264;

std::vector<TokenId> encode(const Tokenizer& tokenizer, std::vector<TextPiece> pieces, bool add_special = false) {
  auto ids = tokenizer.encode(pieces, {.add_special = add_special});
  EXPECT_TRUE(ids.ok()) << ids.status().message();
  return ids.ok() ? *ids : std::vector<TokenId>();
}

TEST(TokenizerSpecial, ControlTokensAreRecognisedInTrustedCharactersOnly) {
  const auto t = tokenizer_of(small_bpe().create());
  ASSERT_NE(t, nullptr);
  EXPECT_EQ(encode(*t, {{"<|x|>", true}}), std::vector<TokenId>{kX});
  const auto content = encode(*t, {{"<|x|>", false}});
  EXPECT_EQ(content, (std::vector<TokenId>{'<', '|', 'x', '|', '>'}));
}

TEST(TokenizerSpecial, AMatchDoesNotStraddleAnUntrustedCharacter) {
  const auto t = tokenizer_of(small_bpe().create());
  ASSERT_NE(t, nullptr);
  const auto plain = encode(*t, {{"<|x|>", false}});
  for (size_t cut = 0; cut <= 5; ++cut) {
    const std::string_view text = "<|x|>";
    if (cut > 0) {
      EXPECT_EQ(encode(*t, {{text.substr(0, cut), false}, {text.substr(cut), true}}), plain) << cut;
    }
    if (cut < 5) {
      EXPECT_EQ(encode(*t, {{text.substr(0, cut), true}, {text.substr(cut), false}}), plain) << cut;
    }
    EXPECT_EQ(encode(*t, {{text.substr(0, cut), true}, {text.substr(cut), true}}), std::vector<TokenId>{kX})
        << "two trusted parts, " << cut;
    EXPECT_EQ(encode(*t, {{text.substr(0, cut), true}, {"", false}, {text.substr(cut), true}}), std::vector<TokenId>{kX})
        << "nothing between";
  }
}

TEST(TokenizerSpecial, TheLongestMatchWinsAndAShorterOneServesWhereItsRestIsContent) {
  const auto t = tokenizer_of(small_bpe().create());
  ASSERT_NE(t, nullptr);
  EXPECT_EQ(encode(*t, {{"<|x|><|y|>", true}}), std::vector<TokenId>{kXy});
  const auto mixed = encode(*t, {{"<|x|>", true}, {"<|y|>", false}});
  ASSERT_EQ(mixed.size(), 6U);
  EXPECT_EQ(mixed[0], kX);
}

TEST(TokenizerSpecial, TextBetweenSpecialTokensIsOneRunWhateverItsOrigin) {
  const auto t = tokenizer_of(small_bpe().create());
  ASSERT_NE(t, nullptr);
  EXPECT_EQ(encode(*t, {{"<|x|>a", true}, {"b", false}, {"c<|x|>", true}}), (std::vector<TokenId>{kX, kAbc, kX}));
  EXPECT_EQ(encode(*t, {{"a", false}, {"b<|x|>", true}, {"c", false}}), (std::vector<TokenId>{kAb, kX, 'c'}));
}

TEST(TokenizerSpecial, UserDefinedTokensAreRecognisedInAnyText) {
  const auto t = tokenizer_of(small_bpe().create());
  ASSERT_NE(t, nullptr);
  EXPECT_EQ(encode(*t, {{"<think>", false}}), std::vector<TokenId>{kThink});
  EXPECT_EQ(encode(*t, {{"<thi", true}, {"nk>", false}}), std::vector<TokenId>{kThink});
}

TEST(TokenizerSpecial, MergesDoNotMakeControlTokens) {
  const auto t = tokenizer_of(small_bpe().create());
  ASSERT_NE(t, nullptr);
  EXPECT_EQ(encode(*t, {{"<e>", false}}), (std::vector<TokenId>{kLess, '>'}));
  EXPECT_EQ(encode(*t, {{"<e>", true}}), std::vector<TokenId>{kE});
}

TEST(TokenizerSpecial, BeginAndEndTokensAreAddedAsTheVocabularySaysAndNotTwice) {
  OwnedVocabulary v = small_bpe();
  v.data.add_bos = v.data.add_eos = true;
  const auto t = tokenizer_of(v.create());
  ASSERT_NE(t, nullptr);
  EXPECT_EQ(encode(*t, {{"ab", false}}, true), (std::vector<TokenId>{kBos, kAb, kEos}));
  EXPECT_EQ(encode(*t, {{"<s>ab</s>", true}}, true), (std::vector<TokenId>{kBos, kAb, kEos}));
  EXPECT_EQ(encode(*t, {{"ab", false}}, false), (std::vector<TokenId>{kAb}));
  EXPECT_EQ(encode(*t, {}, true), (std::vector<TokenId>{kBos, kEos}));
  EXPECT_EQ(encode(*t, {{"ab<s>", true}}, true), (std::vector<TokenId>{kBos, kAb, kBos, kEos}));
  EXPECT_EQ(encode(*t, {{"<s>", false}}, true).size(), 5U) << "content that looks like bos does not replace it";
}

TEST(TokenizerSpecial, TokensThatStripSwallowTheWhiteSpaceBehindThem) {
  OwnedVocabulary v = small_bpe();
  const uint64_t strips[] = {static_cast<uint64_t>(kX)};
  v.data.strip_right = strips;
  const auto t = tokenizer_of(v.create());
  ASSERT_NE(t, nullptr);
  EXPECT_EQ(encode(*t, {{"<|x|> \n", true}, {"\tab ", false}}), (std::vector<TokenId>{kX, kAb, ' '}));
}

TEST(TokenizerSpecial, PhiThreeStripsAsItsTokenizerDoes) {
  const auto t = load_tokenizer("phi-3");
  ASSERT_NE(t, nullptr);
  // transformers: LlamaTokenizerFast of microsoft/Phi-3-mini-4k-instruct, whose added tokens have rstrip. general.name names the family.
  const auto user = t->vocabulary().find("<|user|>"), end = t->vocabulary().find("<|end|>");
  ASSERT_TRUE(user && end);
  const auto ids = t->encode("<|user|>\nHi<|end|>\n", true, {.add_special = false});
  ASSERT_TRUE(ids.ok());
  EXPECT_EQ(ids->front(), *user);
  EXPECT_EQ(ids->back(), *end);
  EXPECT_EQ(ids->size(), 3U);
}

// Bar A11: every control token's text of every test vocabulary as content, whole, cut by a template's text, doubled and disguised.
TEST(TokenizerSpecial, NoContentGivesAControlToken) {
  size_t messages = 0;
  for (const char* name : {"gpt-2", "falcon", "deepseek-llm", "llama-spm", "phi-3", "smollm2", "qwen3"}) {
    const auto t = load_tokenizer(name);
    ASSERT_NE(t, nullptr);
    const Vocabulary& vocabulary = t->vocabulary();
    std::vector<std::string> marks;
    for (TokenId id = 0; vocabulary.has(id); ++id) {
      const TokenKind kind = vocabulary.token_kind(id);
      if (kind == TokenKind::control || kind == TokenKind::unknown) marks.emplace_back(vocabulary.text(id));
    }
    ASSERT_FALSE(marks.empty()) << name;
    const std::string frame = marks.back();  // what the template itself writes
    const auto frame_id = *vocabulary.find(frame);
    SplitMix random(7);
    for (int round = 0; round < 15000; ++round, ++messages) {
      std::string mark = marks[random.below(marks.size())];
      switch (random.below(6)) {
        case 0:
          mark += mark;
          break;
        case 1:
          mark.insert(random.below(mark.size() + 1), mark);
          break;
        case 2:
          std::replace(mark.begin(), mark.end(), '|', 'l');
          break;
        case 3:
          mark = "\u200b" + mark + "\uff5c>";
          break;
        case 4:
          mark.insert(random.below(mark.size() + 1), 1, static_cast<char>(random.below(256)));
          break;
        default:
          break;
      }
      const std::string content = random_text(random).append(mark).append(random_text(random));
      const size_t cut = random.below(content.size() + 1);
      const std::vector<TextPiece> pieces = {{frame, true},
                                             {std::string_view(content).substr(0, cut), false},
                                             {" ", true},
                                             {std::string_view(content).substr(cut), false},
                                             {frame, true}};
      const auto ids = t->encode(pieces, {.add_special = false});
      ASSERT_TRUE(ids.ok()) << ids.status().message();
      ASSERT_GE(ids->size(), 2U);
      EXPECT_EQ(ids->front(), frame_id);
      EXPECT_EQ(ids->back(), frame_id);
      for (size_t i = 1; i + 1 < ids->size(); ++i) {
        const TokenKind kind = vocabulary.token_kind((*ids)[i]);
        ASSERT_TRUE(kind != TokenKind::control && kind != TokenKind::unknown)
            << name << ": " << content << " gave " << vocabulary.text((*ids)[i]);
      }
    }
  }
  EXPECT_GE(messages, 100000U);
}

}  // namespace
}  // namespace kl::test
