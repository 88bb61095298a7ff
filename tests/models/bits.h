// The promise of equal bits, run as an app would break it: threads, chunks, single steps, and strangers in the same batches.
#pragma once
#include <random>

#include "core/hash.h"
#include "models/golden.h"

namespace kl {

struct Circumstances {
  uint32_t threads = 1;
  uint32_t chunk = 512;
  uint32_t mates = 0;  // other sequences in the same steps, joining and leaving at random
};

inline std::vector<std::vector<int32_t>> random_prompts(size_t count, uint32_t vocabulary, uint32_t shortest, uint32_t longest) {
  std::mt19937 random(20261121);
  std::vector<std::vector<int32_t>> prompts(count);
  for (auto& prompt : prompts) {
    prompt.resize(shortest + random() % (longest - shortest + 1));
    for (int32_t& id : prompt) id = static_cast<int32_t>(random() % vocabulary);
  }
  return prompts;
}

// One hash per prompt, over the bits of the logits after its every token.
class BitsRig {
 public:
  explicit BitsRig(const std::string& path, uint32_t threads) {
    auto file = Gguf::open(path);
    EXPECT_TRUE(file.ok()) << file.status().message();
    auto device = cpu::open_cpu({.threads = threads, .isa = {}, .reference = false});
    EXPECT_TRUE(device.ok());
    device_ = std::move(*device);
    RunnerOptions options;
    options.context = 1024;
    options.kv_tokens = 8 * 1024;
    options.max_outputs = 512;
    auto runner = ModelRunner::load(*file, *device_, options, {}, {});
    EXPECT_TRUE(runner.ok()) << runner.status().message();
    runner_ = std::move(*runner);
  }

  uint32_t vocabulary() const { return runner_->spec().vocabulary; }

  std::vector<uint64_t> run(const std::vector<std::vector<int32_t>>& prompts, uint32_t chunk, uint32_t mates) {
    std::vector<uint64_t> hashes;
    for (const auto& prompt : prompts) hashes.push_back(run_one(prompt, chunk, mates));
    return hashes;
  }

 private:
  struct Mate {
    SequenceId id = 0;
    uint32_t length = 0, end = 0;
    std::vector<int32_t> tokens;
  };

  uint64_t run_one(const std::vector<int32_t>& prompt, uint32_t chunk, uint32_t mates) {
    KvCache& cache = runner_->cache();
    const SequenceId sequence = cache.create_sequence(1024);
    std::vector<Mate> others;
    uint64_t hash = 0;
    for (size_t at = 0; at < prompt.size();) {
      const auto count = static_cast<uint32_t>(std::min<size_t>(chunk, prompt.size() - at));
      StepBatch batch;
      uint32_t rows = count;
      while (others.size() < mates) {
        others.push_back({cache.create_sequence(1024), 0, 1 + static_cast<uint32_t>(random_() % 100), {}});
      }
      for (Mate& mate : others) {  // some before the sequence, some behind it: the row index must not matter either
        const auto wanted =
            static_cast<uint32_t>(1 + random_() % std::min(40u, 4 * chunk));  // about the sequence's own share, not all of the step
        const uint32_t take = std::min({wanted, mate.end - mate.length, 512 - rows});
        if (take == 0) continue;
        mate.tokens.resize(take);
        for (int32_t& id : mate.tokens) id = static_cast<int32_t>(random_() % vocabulary());
        add(batch, mate.id, mate.tokens, mate.length, random_() % 2);
        mate.length += take;
        rows += take;
        if (&mate == &others[others.size() / 2])
          add(batch, sequence, std::span(prompt).subspan(at, count), static_cast<uint32_t>(at), count);
      }
      const bool inside =
          std::any_of(batch.sequences.begin(), batch.sequences.end(), [&](const StepSequence& s) { return s.cache == sequence; });
      if (!inside) add(batch, sequence, std::span(prompt).subspan(at, count), static_cast<uint32_t>(at), count);

      auto result = runner_->run(batch);
      EXPECT_TRUE(result.ok()) << result.status().message();
      if (!result.ok()) return 0;
      size_t row = 0;
      for (const StepSequence& s : batch.sequences) {
        if (s.cache == sequence) {
          for (uint32_t r = 0; r < count; ++r) {  // row by row, so that chunks do not show in the hash
            hash = hash64(std::as_bytes(result->logits.subspan((row + r) * vocabulary(), vocabulary())), hash);
          }
        }
        row += s.outputs;
        EXPECT_TRUE(cache.commit(s.cache, static_cast<uint32_t>(s.tokens.size())).ok());
      }
      at += count;
      std::erase_if(others, [&](const Mate& mate) {
        if (mate.length < mate.end) return false;
        cache.destroy(mate.id);
        return true;
      });
    }
    for (const Mate& mate : others) cache.destroy(mate.id);
    cache.destroy(sequence);
    return hash;
  }

  void add(StepBatch& batch, SequenceId id, std::span<const int32_t> tokens, uint32_t first, uint32_t outputs) {
    auto copies = runner_->cache().reserve(id, static_cast<uint32_t>(tokens.size()));
    EXPECT_TRUE(copies.ok()) << copies.status().message();
    batch.copies.insert(batch.copies.end(), copies->begin(), copies->end());
    batch.sequences.push_back({id, tokens, first, outputs});
  }

  std::unique_ptr<Device> device_;
  std::unique_ptr<ModelRunner> runner_;
  std::mt19937 random_{7};
};

inline void expect_equal_bits(const std::string& path, size_t prompt_count, uint32_t longest) {
  BitsRig alone(path, 1);
  const auto prompts = random_prompts(prompt_count, alone.vocabulary(), 3, longest);
  const std::vector<uint64_t> expected = alone.run(prompts, 512, 0);
  EXPECT_NE(expected[0], expected[1]);
  for (const uint32_t threads : {2u, 3u, 4u}) EXPECT_EQ(BitsRig(path, threads).run(prompts, 512, 0), expected) << threads << " threads";
  for (const uint32_t chunk : {1u, 7u, 32u, 128u}) EXPECT_EQ(alone.run(prompts, chunk, 0), expected) << "chunks of " << chunk;
  for (const uint32_t mates : {1u, 5u}) EXPECT_EQ(alone.run(prompts, 19, mates), expected) << mates << " mates";
  EXPECT_EQ(BitsRig(path, 2).run(prompts, 1, 3), expected) << "steps among mates on two threads";
}

}  // namespace kl
