#include "engine/handles.h"

#include <gtest/gtest.h>

namespace kl {
namespace {

TEST(Handles, OnlyALiveKeyOfTheRightKindFindsItsObject) {
  HandleTable table;
  const auto object = std::make_shared<int>(7);
  void* const key = table.add(HandleKind::model, object);
  EXPECT_EQ(table.find(HandleKind::model, key), object);
  EXPECT_EQ(table.find(HandleKind::session, key), nullptr);
  EXPECT_EQ(table.find(HandleKind::model, nullptr), nullptr);
  EXPECT_EQ(table.find(HandleKind::model, object.get()), nullptr);
  EXPECT_EQ(table.find(HandleKind::model, static_cast<char*>(key) + 1), nullptr);
  EXPECT_EQ(table.remove(HandleKind::engine, key), nullptr);
  EXPECT_EQ(table.remove(HandleKind::model, key), object);
  EXPECT_EQ(table.remove(HandleKind::model, key), nullptr);
  EXPECT_EQ(table.find(HandleKind::model, key), nullptr);
  EXPECT_EQ(object.use_count(), 1);
}

TEST(Handles, AReusedSlotDoesNotReviveOldKeys) {
  HandleTable table;
  std::vector<void*> dead;
  for (int i = 0; i < 10000; ++i) {
    void* const key = table.add(HandleKind::generation, std::make_shared<int>(i));
    for (size_t k = dead.size() < 5 ? 0 : dead.size() - 5; k < dead.size(); ++k)
      ASSERT_EQ(table.find(HandleKind::generation, dead[k]), nullptr);
    ASSERT_NE(table.remove(HandleKind::generation, key), nullptr);
    dead.push_back(key);
  }
  EXPECT_EQ(table.find(HandleKind::generation, dead.front()), nullptr);
  EXPECT_EQ(table.size(), 0u);
}

}  // namespace
}  // namespace kl
