/* Readiness of file descriptors on the event loop. */
#include "native.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <uv.h>

typedef struct {
  uv_poll_t poll; /* first: a handle of libuv's is cast back to its watch */
  napi_env env;
  napi_ref callback, resource;
  napi_async_context context;
  napi_async_cleanup_hook_handle hook;
  int events;
  bool closing;
} watch_t;

/* Through napi_make_callback, so that ticks and promises run; what it throws is an uncaught exception, as anywhere. */
static void watch_ready(uv_poll_t *poll, int status, int events) {
  watch_t *watch = (watch_t *)poll;
  napi_env env = watch->env;
  napi_handle_scope scope;
  if (napi_open_handle_scope(env, &scope) != napi_ok) return;
  napi_value callback, resource, argument, result;
  napi_get_reference_value(env, watch->callback, &callback);
  napi_get_reference_value(env, watch->resource, &resource);
  napi_create_int32(env, status < 0 ? status : events, &argument);
  if (napi_make_callback(env, watch->context, resource, callback, 1, &argument, &result) == napi_pending_exception) {
    napi_value error;
    napi_get_and_clear_last_exception(env, &error);
    napi_fatal_exception(env, error);
  }
  napi_close_handle_scope(env, scope);
}

static void watch_closed(uv_handle_t *handle) {
  watch_t *watch = (watch_t *)handle;
  if (watch->hook != NULL) napi_remove_async_cleanup_hook(watch->hook);
  free(watch);
}

static void watch_release(watch_t *watch) {
  if (watch->closing) return;
  watch->closing = true;
  uv_poll_stop(&watch->poll);
  napi_delete_reference(watch->env, watch->callback);
  napi_delete_reference(watch->env, watch->resource);
  napi_async_destroy(watch->env, watch->context);
  uv_close((uv_handle_t *)&watch->poll, watch_closed);
}

static void watch_cleanup(napi_async_cleanup_hook_handle hook, void *argument) {
  (void)hook;
  watch_release(argument);
}

/* uv_poll_init sets O_NONBLOCK, which a client that shares the open file description would notice. */
static int poll_init_keeping_flags(uv_loop_t *loop, uv_poll_t *poll, int fd) {
  int flags = fcntl(fd, F_GETFL);
  if (flags < 0) return -errno;
  int result = uv_poll_init(loop, poll, fd);
  if (result == 0 && !(flags & O_NONBLOCK)) fcntl(fd, F_SETFL, flags);
  return result;
}

/* watchOpen(fd, events, callback, resource): External | -errno; not started yet */
static napi_value watch_open(napi_env env, napi_callback_info info) {
  ARGUMENTS(4);
  uv_loop_t *loop;
  if (napi_get_uv_event_loop(env, &loop) != napi_ok) return integer(env, -EINVAL);
  watch_t *watch = calloc(1, sizeof(*watch));
  if (watch == NULL) return integer(env, -ENOMEM);
  int error = poll_init_keeping_flags(loop, &watch->poll, int_of(env, argv[0]));
  if (error) {
    free(watch);
    return integer(env, error);
  }
  watch->env = env;
  watch->events = int_of(env, argv[1]);
  napi_value name, external;
  napi_create_string_utf8(env, "sidecard:watch", NAPI_AUTO_LENGTH, &name);
  napi_async_init(env, argv[3], name, &watch->context);
  napi_create_reference(env, argv[2], 1, &watch->callback);
  napi_create_reference(env, argv[3], 1, &watch->resource);
  napi_add_async_cleanup_hook(env, watch_cleanup, watch, &watch->hook);
  napi_create_external(env, watch, NULL, NULL, &external);
  return external;
}

enum { WATCH_START, WATCH_STOP, WATCH_REF, WATCH_UNREF, WATCH_CLOSE };

/* watchControl(watch, action): 0 | -errno; not after WATCH_CLOSE, see watch.ts */
static napi_value watch_control(napi_env env, napi_callback_info info) {
  ARGUMENTS(2);
  void *data;
  if (napi_get_value_external(env, argv[0], &data) != napi_ok) return integer(env, -EINVAL);
  watch_t *watch = data;
  switch (int_of(env, argv[1])) {
    case WATCH_START: return integer(env, uv_poll_start(&watch->poll, watch->events, watch_ready));
    case WATCH_STOP: return integer(env, uv_poll_stop(&watch->poll));
    case WATCH_REF: uv_ref((uv_handle_t *)&watch->poll); break;
    case WATCH_UNREF: uv_unref((uv_handle_t *)&watch->poll); break;
    case WATCH_CLOSE: watch_release(watch); break;
    default: return integer(env, -EINVAL);
  }
  return integer(env, 0);
}


const function_t watch_functions[] = {
    {"watchOpen", watch_open},
    {"watchControl", watch_control},
    {NULL, NULL},
};
