/* Arguments and results: JavaScript's values as C's, checked. */
#include "native.h"
#include <errno.h>
#include <string.h>

napi_value integer(napi_env env, int32_t value) {
  napi_value result;
  napi_create_int32(env, value, &result);
  return result;
}

napi_value number(napi_env env, double value) {
  napi_value result;
  napi_create_double(env, value, &result);
  return result;
}

napi_value outcome(napi_env env, int64_t result) {
  if (result < 0) return integer(env, -errno);
  return result <= INT32_MAX ? integer(env, (int32_t)result) : number(env, (double)result);
}

int32_t int_of(napi_env env, napi_value value) {
  double d = -1;
  napi_get_value_double(env, value, &d);
  if (!(d >= INT32_MIN && d <= INT32_MAX)) return -1;
  /* Not napi_get_value_int32: it makes 0 of NaN, and 0 is somebody's fd. */
  int32_t result = (int32_t)d;
  return result == d ? result : -1;
}

bool double_to_size(double value, uint64_t *size) {
  if (!(value >= 0 && value <= 9007199254740991.0)) return false;
  *size = (uint64_t)value;
  return (double)*size == value;
}

bool size_of(napi_env env, napi_value value, uint64_t *size) {
  double d;
  return napi_get_value_double(env, value, &d) == napi_ok && double_to_size(d, size);
}

bool bool_of(napi_env env, napi_value value) {
  bool result = false;
  napi_get_value_bool(env, value, &result);
  return result;
}

bool path_of(napi_env env, napi_value value, char *path, size_t room) {
  size_t length;
  if (napi_get_value_string_utf8(env, value, NULL, 0, &length) != napi_ok || length >= room) return false;
  napi_get_value_string_utf8(env, value, path, room, &length);
  return strlen(path) == length;
}

bool elements_of(napi_env env, napi_value value, napi_typedarray_type type, void **data, size_t *length) {
  napi_typedarray_type found;
  if (napi_get_typedarray_info(env, value, &found, length, data, NULL, NULL) == napi_ok && found == type) return true;
  *data = NULL;
  *length = 0;
  return false;
}
