/* The addon: every chapter's functions, and what the process needs once. */
#include <signal.h>
#include "mapping-table.h"

static void ignore_finalize(napi_env env, void *data, void *hint) {
  (void)env;
  (void)data;
  (void)hint;
}

static void export_functions(napi_env env, napi_value exports, const function_t *chapter) {
  for (; chapter->name != NULL; chapter++) {
    napi_value function;
    napi_create_function(env, chapter->name, NAPI_AUTO_LENGTH, chapter->call, NULL, &function);
    napi_set_named_property(env, exports, chapter->name, function);
  }
}

NAPI_MODULE_INIT() {
  /* A write to a client's pipe must not end us; Node ignores it as well, an embedder may not. */
  struct sigaction action;
  if (sigaction(SIGPIPE, NULL, &action) == 0 && action.sa_handler == SIG_DFL) signal(SIGPIPE, SIG_IGN);

  const function_t *const chapters[] = {mapping_functions, socket_functions, descriptor_functions, file_functions,
                                        ring_functions,    watch_functions,  host_functions};
  for (size_t i = 0; i < sizeof(chapters) / sizeof(chapters[0]); i++) export_functions(env, exports, chapters[i]);

  napi_value faults;
  if (napi_create_external_arraybuffer(env, &fault_count, sizeof(fault_count), ignore_finalize, NULL, &faults) == napi_ok) {
    napi_set_named_property(env, exports, "faultCount", faults);
  }
  napi_add_env_cleanup_hook(env, unpin_all, env);
  return exports;
}
