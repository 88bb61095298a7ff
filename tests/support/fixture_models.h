// Models that are in the repository.
#pragma once
#include <string>

namespace kl {

inline const std::string kStories = KL_TEST_DATA "/data/stories260K.gguf";            // a language model
inline const std::string kShapes = KL_TEST_DATA "/../samples/image_question/model/";  // a vision-language model's folder

}  // namespace kl
