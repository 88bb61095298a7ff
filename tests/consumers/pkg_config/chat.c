/* A chat in C: cc chat.c $(pkg-config --cflags --libs kinglet) */
#include <kinglet/kinglet.h>
#include <stdio.h>
#include <string.h>

static int problem(void) {
  fprintf(stderr, "chat: %s\n", kl_last_error());
  return 1;
}

int main(int argc, char** argv) {
  char line[4096];
  kl_engine* engine = NULL;
  kl_model* model = NULL;
  kl_session* session = NULL;
  kl_session_options options = {.size = sizeof options};
  kl_send_options send = {.size = sizeof send, .max_tokens = 64};
  options.template_text = argc > 2 ? argv[2] : NULL; /* a model without a chat template needs one */
  if (argc < 2) return 2;
  if (kl_engine_open(NULL, &engine) != KL_OK || kl_model_load(engine, argv[1], NULL, &model) != KL_OK) return problem();
  if (kl_session_new(model, &options, &session) != KL_OK) return problem();
  while (fgets(line, sizeof line, stdin) != NULL) {
    kl_generation* answer = NULL;
    kl_event event = {.size = sizeof event};
    line[strcspn(line, "\n")] = '\0';
    if (kl_session_send(session, line, &send, &answer) != KL_OK) return problem();
    while (kl_generation_next(answer, -1, &event) == KL_OK && event.kind <= KL_EVENT_TOKEN) fputs(event.text, stdout);
    putchar('\n');
    kl_generation_destroy(answer);
  }
  kl_session_destroy(session), kl_model_destroy(model), kl_engine_destroy(engine);
  return 0;
}
