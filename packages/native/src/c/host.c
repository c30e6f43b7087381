/* The thread and its machine. */
#include "native.h"
#include <errno.h>
#include <sched.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

static napi_value context_switches(napi_env env, napi_callback_info info) {
  (void)info;
  struct rusage usage;
  getrusage(RUSAGE_THREAD, &usage);
  return number(env, (double)usage.ru_nivcsw);
}

static napi_value cpu_count(napi_env env, napi_callback_info info) {
  (void)info;
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof(set), &set) < 0) return integer(env, (int32_t)sysconf(_SC_NPROCESSORS_ONLN));
  return integer(env, CPU_COUNT(&set));
}

static napi_value pin_thread(napi_env env, napi_callback_info info) {
  ARGUMENTS(1);
  int cpu = int_of(env, argv[0]);
  if (cpu < 0 || cpu >= CPU_SETSIZE) return integer(env, -EINVAL);
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(cpu, &set);
  return outcome(env, sched_setaffinity(0, sizeof(set), &set));
}

static napi_value now_us(napi_env env, napi_callback_info info) {
  (void)info;
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return number(env, (double)now.tv_sec * 1e6 + (double)now.tv_nsec * 1e-3);
}

static napi_value yield_thread(napi_env env, napi_callback_info info) {
  (void)info;
  return outcome(env, sched_yield());
}


const function_t host_functions[] = {
    {"contextSwitches", context_switches},
    {"cpuCount", cpu_count},
    {"pinThread", pin_thread},
    {"nowUs", now_us},
    {"yieldThread", yield_thread},
    {NULL, NULL},
};
