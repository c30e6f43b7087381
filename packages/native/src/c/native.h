/*
 * Sidecard's only native code: functions on file descriptors, no policy.
 *
 * Every function takes and returns plain numbers (a result, or a negative errno), so that a hot call makes no object and
 * throws nothing; binding.ts gives them their types, and kernel.ts turns the errors of cold calls into exceptions.
 *
 * Memory that a system call may touch is named by a handle, never by a pointer: see mapping-table.h.
 */
#ifndef SIDECARD_NATIVE_H
#define SIDECARD_NATIVE_H

#include <node_api.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ARGUMENTS(count)           \
  napi_value argv[count];          \
  size_t argc = (count);           \
  napi_get_cb_info(env, info, &argc, argv, NULL, NULL)

napi_value integer(napi_env env, int32_t value);
napi_value number(napi_env env, double value);
/* What a system call returned: itself, or the negative errno. */
napi_value outcome(napi_env env, int64_t result);

/* -1 for anything that is not such an integer: as an fd it gives EBADF. */
int32_t int_of(napi_env env, napi_value value);
/* A non-negative integer that a double holds exactly. */
bool double_to_size(double value, uint64_t *size);
bool size_of(napi_env env, napi_value value, uint64_t *size);
bool bool_of(napi_env env, napi_value value);
bool path_of(napi_env env, napi_value value, char *path, size_t room);
/* Elements of a typed array of this type; false (and no elements) for anything else, such as null. */
bool elements_of(napi_env env, napi_value value, napi_typedarray_type type, void **data, size_t *length);

/* What a chapter gives to JavaScript; the last row's name is NULL. */
typedef struct {
  const char *name;
  napi_callback call;
} function_t;

extern const function_t mapping_functions[], socket_functions[], descriptor_functions[], file_functions[], ring_functions[],
    watch_functions[], host_functions[];

#endif
