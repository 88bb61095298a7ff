// Bars A2, A3, A4: damaged files give an error that says where, or a model whose every tensor and string is inside the file. The sanitizer
// build runs the same tests; each damaged file lies in a buffer of exactly its size, so that one byte read past it is seen.
#include <gtest/gtest.h>

#include <cstdio>
#include <cstring>
#include <fstream>
#include <memory>
#include <random>

#include "core/checked.h"
#include "support/temp_folder.h"
#include "weights/counting_new.h"
#include "weights/gguf.h"
#include "weights/small_file.h"

namespace kl {
namespace {

using test::GgufBytes;
using test::GgufWriter;
using test::small_file;

uint64_t touch(const MetaArray& array) {
  uint64_t sum = array.ints.size() + array.unsigneds.size() + array.floats.size() + array.doubles.size();
  for (const std::string_view text : array.strings) {
    for (const char c : text) sum += static_cast<unsigned char>(c);
  }
  for (const auto& inner : array.arrays) sum += touch(*inner);
  return sum;
}

// Reads all there is to read; false when anything is not inside `bytes`.
bool is_sound(const Gguf& gguf, std::span<const std::byte> bytes) {
  uint64_t sum = 0;
  for (const Metadata::Entry& entry : gguf.metadata().entries) {
    sum += entry.key.size();
    if (const auto* text = std::get_if<std::string_view>(&entry.value)) sum += text->empty() ? 0 : static_cast<unsigned char>(text->back());
    if (const auto* array = std::get_if<std::shared_ptr<const MetaArray>>(&entry.value)) sum += touch(**array);
    if (gguf.metadata().find(entry.key) != &entry.value) return false;
  }
  for (const TensorInfo& tensor : gguf.tensors()) {
    uint64_t elements = 1;
    for (const uint64_t d : tensor.dims) elements *= d;
    if (tensor.rank < 1 || tensor.rank > 4 || elements == 0 || tensor.dims[0] % info(tensor.format).block_elements != 0) return false;
    if (tensor.bytes != elements / info(tensor.format).block_elements * info(tensor.format).block_bytes) return false;
    if (!range_fits(tensor.offset, tensor.bytes, bytes.size()) || gguf.find(tensor.name) != &tensor) return false;
    const auto data = gguf.data(tensor);
    if (!data.ok() || data->size() != tensor.bytes) return false;
    for (const std::byte b : *data) sum += std::to_integer<uint64_t>(b);
  }
  volatile uint64_t used = sum;
  (void)used;
  return true;
}

enum class Outcome : uint8_t { error, sound, unsound };

Outcome load(std::span<const std::byte> bytes, std::string* message = nullptr) {
  const auto gguf = Gguf::open_memory(bytes);
  if (gguf.ok()) return is_sound(**gguf, bytes) ? Outcome::sound : Outcome::unsound;
  const Code code = gguf.status().code();
  if (message != nullptr) *message = gguf.status().message();
  const bool clean =
      (code == Code::corrupt || code == Code::unsupported || code == Code::out_of_memory) && gguf.status().message().size() > 20;
  return clean ? Outcome::error : Outcome::unsound;
}

std::vector<std::byte> read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary | std::ios::ate);
  std::vector<std::byte> bytes(static_cast<size_t>(std::max<std::streamoff>(file.tellg(), 0)));
  file.seekg(0);
  file.read(reinterpret_cast<char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
  return bytes;
}

std::unique_ptr<std::byte[]> prefix(std::span<const std::byte> bytes, size_t n) {
  auto copy = std::make_unique<std::byte[]>(n);
  std::copy_n(bytes.begin(), n, copy.get());
  return copy;
}

TEST(GgufDamage, EveryTruncationOfTheSmallFileIsACleanErrorNamingAByte) {
  const std::vector<std::byte> bytes = small_file().bytes();
  ASSERT_LE(bytes.size(), 65536u);
  const auto whole = Gguf::open_memory(bytes);
  ASSERT_TRUE(whole.ok()) << whole.status().message();
  const TensorInfo& last = (*whole)->tensors().back();
  const size_t needed = last.offset + last.bytes;  // what follows is padding
  ASSERT_LT(bytes.size() - needed, 16u);
  for (size_t n = 0; n < bytes.size(); ++n) {
    std::string message;
    const auto copy = prefix(bytes, n);
    const Outcome outcome = load({copy.get(), n}, &message);
    ASSERT_EQ(outcome, n < needed ? Outcome::error : Outcome::sound) << n << " of " << bytes.size() << ": " << message;
    if (n < needed) {
      ASSERT_NE(message.find("byte"), std::string::npos) << message;
    }
  }
  std::printf("A2: %zu truncations of the small file, all clean errors\n", needed);
}

TEST(GgufDamage, TruncationsOfARealVocabularyAreCleanErrors) {
  const std::vector<std::byte> bytes = read_file(KL_TEST_DATA "/data/ggml-vocab-bert-bge.gguf");
  ASSERT_GT(bytes.size(), 500000u);
  const auto whole = Gguf::open_memory(bytes);
  ASSERT_TRUE(whole.ok()) << whole.status().message();
  std::vector<size_t> lengths;
  for (size_t n = 0; n < bytes.size(); n += 61) lengths.push_back(n);
  for (const Metadata::Entry& entry : (*whole)->metadata().entries) {  // an edge: where an entry begins
    const size_t edge = static_cast<size_t>(reinterpret_cast<const std::byte*>(entry.key.data()) - bytes.data()) - 8;
    for (size_t n = edge - 16; n <= edge + 16; ++n) lengths.push_back(n);
  }
  for (size_t n = bytes.size() - 16; n < bytes.size(); ++n) lengths.push_back(n);
  for (const size_t n : lengths) {
    std::string message;
    const auto copy = prefix(bytes, n);
    ASSERT_EQ(load({copy.get(), n}, &message), Outcome::error) << n;
    ASSERT_NE(message.find("byte"), std::string::npos) << message;
  }
  std::printf("A2: %zu truncations of a real vocabulary of %zu bytes, all clean errors\n", lengths.size(), bytes.size());
}

TEST(GgufDamage, EveryBitFlipOfTheSmallFileIsAnErrorOrASoundModel) {
  const std::vector<std::byte> bytes = small_file().bytes();
  const auto copy = prefix(bytes, bytes.size());
  size_t errors = 0, sound = 0;
  for (size_t bit = 0; bit < bytes.size() * 8; ++bit) {
    copy[bit / 8] ^= static_cast<std::byte>(1u << bit % 8);
    const Outcome outcome = load({copy.get(), bytes.size()});
    ASSERT_NE(outcome, Outcome::unsound) << "bit " << bit % 8 << " of byte " << bit / 8;
    outcome == Outcome::error ? ++errors : ++sound;
    copy[bit / 8] ^= static_cast<std::byte>(1u << bit % 8);
  }
  EXPECT_GT(errors, 1000u);
  EXPECT_GT(sound, 1000u);  // flips in tensor data and values change no structure
  std::printf("A3: %zu bit flips: %zu errors, %zu sound models\n", errors + sound, errors, sound);
}

TEST(GgufDamage, BitFlipsOfARealVocabularyAreErrorsOrSoundModels) {
  const std::vector<std::byte> bytes = read_file(KL_TEST_DATA "/data/ggml-vocab-bert-bge.gguf");
  const auto copy = prefix(bytes, bytes.size());
  std::mt19937_64 random(20);
  size_t errors = 0;
  constexpr size_t kFlips = 3000;
  for (size_t i = 0; i < kFlips; ++i) {
    // Half of them in the first 2 KiB, where structure is dense.
    const size_t bit = random() % (i % 2 == 0 ? 2048 * 8 : bytes.size() * 8);
    copy[bit / 8] ^= static_cast<std::byte>(1u << bit % 8);
    const Outcome outcome = load({copy.get(), bytes.size()});
    ASSERT_NE(outcome, Outcome::unsound) << "bit " << bit % 8 << " of byte " << bit / 8;
    errors += outcome == Outcome::error ? 1 : 0;
    copy[bit / 8] ^= static_cast<std::byte>(1u << bit % 8);
  }
  EXPECT_GT(errors, kFlips / 20);
  std::printf("A3: %zu random bit flips of a real vocabulary: %zu errors, the others sound\n", kFlips, errors);
}

// Bar A4's list for a field of `width` bytes with the value `right`.
std::vector<uint64_t> attacks(uint64_t right, uint64_t remaining) {
  std::vector<uint64_t> out = {0, 1, UINT64_MAX, remaining, remaining + 1, right + 1, right - 1};
  for (const uint64_t v : {uint64_t{1} << 31, uint64_t{1} << 32, uint64_t{1} << 62, uint64_t{1} << 63}) {
    out.push_back(v - 1);
    out.push_back(v);
  }
  return out;
}

// Damages every field and returns the most memory that a load took.
uint64_t attack_all(const GgufBytes& file, bool whole_elements, size_t* cases) {
  std::vector<std::byte> bytes = file.bytes;
  bytes.shrink_to_fit();
  uint64_t most = 0;
  for (const GgufBytes::Field& field : file.fields) {
    if (!whole_elements && field.name.find(" element") != std::string::npos && field.name.find("type") == std::string::npos) continue;
    uint64_t right = 0;
    std::memcpy(&right, bytes.data() + field.offset, field.width);
    for (const uint64_t value : attacks(right, bytes.size() - field.offset - field.width)) {
      std::memcpy(bytes.data() + field.offset, &value, field.width);
      test::reset_peak();
      const uint64_t before = test::bytes_in_use();
      std::string message;
      EXPECT_NE(load(bytes, &message), Outcome::unsound) << field.name << " = " << value << ": " << message;
      most = std::max(most, test::peak_bytes() - before);
      ++*cases;
    }
    std::memcpy(bytes.data() + field.offset, &right, field.width);
  }
  return most;
}

TEST(GgufDamage, EveryIntegerFieldSurvivesEveryExtremeValueInBoundedMemory) {
  const GgufBytes file = small_file().build();
  size_t cases = 0;
  const uint64_t most = attack_all(file, true, &cases);
  EXPECT_LE(most, 2 * file.bytes.size() + (16u << 20));
  std::printf("A4: %zu field values in a file of %zu bytes, at most %llu bytes taken\n", cases, file.bytes.size(),
              static_cast<unsigned long long>(most));
}

// A file large enough that the bound of 2 x file binds: types whose elements grow in memory.
GgufWriter large_file() {
  GgufWriter file;
  std::vector<std::string> tokens(150000);
  for (size_t i = 0; i < tokens.size(); ++i) tokens[i] = std::to_string(i);
  file.strings("tokens", tokens).array<uint8_t>("bytes", MetaType::u8, std::vector<uint8_t>(1 << 20));
  file.nested("nested", std::vector<std::vector<int32_t>>(20000)).ints("ints", std::vector<int32_t>(200000));
  file.tensor("t", Format::f32, {1024, 64}, std::vector<float>(1 << 16));
  return file;
}

TEST(GgufDamage, ExtremeValuesInALargeFileTakeBoundedMemory) {
  const GgufBytes built = large_file().build();
  GgufBytes file;
  file.bytes = built.bytes;
  for (const GgufBytes::Field& field : built.fields) {  // not each of the 20,000 inner arrays
    if (field.name.find("inner") == std::string::npos || field.offset % 9973 == 0) file.fields.push_back(field);
  }
  size_t cases = 0;
  const uint64_t most = attack_all(file, false, &cases);
  EXPECT_LE(most, 2 * file.bytes.size() + (16u << 20));
  std::printf("A4: %zu field values in a file of %zu bytes, at most %llu bytes taken\n", cases, file.bytes.size(),
              static_cast<unsigned long long>(most));
}

TEST(GgufDamage, ElementsThatGrowInMemoryAreHeldToTheBudget) {
  GgufWriter file;
  file.nested("nested", std::vector<std::vector<int32_t>>(200000));  // 12 bytes each in the file, some 200 in memory
  const std::vector<std::byte> bytes = file.bytes();
  test::reset_peak();
  const uint64_t before = test::bytes_in_use();
  const auto gguf = Gguf::open_memory(bytes);
  EXPECT_EQ(gguf.status().code(), Code::out_of_memory) << gguf.status().message();
  EXPECT_LE(test::peak_bytes() - before, 2 * bytes.size() + (16u << 20));
}

TEST(GgufDamage, AFalseCountOfStringsTakesNoMemory) {
  GgufBytes file = GgufWriter().strings("s", {"a", "b"}).string("rest", std::string(8 << 20, '\xff')).build();
  for (const GgufBytes::Field& field : file.fields) {
    const uint64_t count = 1 << 20;  // so many lengths of 8 bytes would fit
    if (field.name == "s count") std::memcpy(file.bytes.data() + field.offset, &count, sizeof(count));
  }
  test::reset_peak();
  const uint64_t before = test::bytes_in_use();
  EXPECT_EQ(Gguf::open_memory(file.bytes).status().code(), Code::corrupt);
  EXPECT_LE(test::peak_bytes() - before, 1u << 20);
}

TEST(GgufDamage, AMappedAndAReadFileAreHeldToTheSameMemory) {
  const test::TempFolder folder;
  const GgufBytes built = large_file().build();
  const std::string path = folder / "large.gguf";
  size_t cases = 0;
  for (const char* damaged : {"", "tokens count", "bytes count", "nested count", "tensor count"}) {
    std::vector<std::byte> bytes = built.bytes;
    for (const GgufBytes::Field& field : built.fields) {
      if (field.name == damaged) bytes[field.offset + 2] ^= std::byte{0x10};  // by a million
    }
    std::ofstream(path, std::ios::binary).write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
    for (const bool use_mmap : {true, false}) {
      test::reset_peak();
      const uint64_t before = test::bytes_in_use();
      const auto gguf = Gguf::open(path, {.use_mmap = use_mmap});
      EXPECT_EQ(gguf.ok(), damaged[0] == '\0') << damaged << ": " << gguf.status().message();
      EXPECT_LE(test::peak_bytes() - before, 2 * bytes.size() + (16u << 20));
      ++cases;
    }
  }
  EXPECT_EQ(cases, 10u);
}

}  // namespace
}  // namespace kl
