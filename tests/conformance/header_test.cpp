// The same structs in C11 and in C++20.
#include <gtest/gtest.h>
#include <kinglet/kinglet.h>

extern "C" size_t kl_conformance_c11(void);

TEST(PublicHeader, StructsHaveOneSizeInCAndInCxx) {
  EXPECT_EQ(kl_conformance_c11(),
            sizeof(kl_engine_options) + sizeof(kl_event) + sizeof(kl_model_options) + sizeof(kl_session_options) + sizeof(kl_evaluation));
}
