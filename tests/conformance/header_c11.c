/* kinglet.h is C11: compiled with -std=c11 -Wall -Wextra -pedantic -Werror. */
#include <kinglet/kinglet.h>

size_t kl_conformance_c11(void);
size_t kl_conformance_c11(void) {
  kl_engine_options engine = {.size = sizeof engine};
  kl_event event = {.size = sizeof event};
  return engine.size + event.size + sizeof(kl_model_options) + sizeof(kl_session_options) + sizeof(kl_evaluation);
}
