/* A file that is cut behind its mapping: SIGBUS inside a guarded range becomes a page of zeroes and a flag. */
#include "mapping-table.h"
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>

_Atomic uint32_t fault_count;

static struct sigaction sigbus_before;

static bool replace_with_anonymous(mapping_t *m, uintptr_t address, uint64_t length) {
  int protection = PROT_READ | (m->writable ? PROT_WRITE : 0);
  void *page = mmap((void *)address, length, protection, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE, -1, 0);
  return page != MAP_FAILED;
}

/* Not ours: to whoever had the signal before, and it stays guarded. */
static void pass_on(int signal_number, siginfo_t *info, void *context) {
  bool sent = info->si_code <= 0;
  if (sigbus_before.sa_flags & SA_SIGINFO) {
    sigbus_before.sa_sigaction(signal_number, info, context);
  } else if (sigbus_before.sa_handler != SIG_DFL && sigbus_before.sa_handler != SIG_IGN) {
    sigbus_before.sa_handler(signal_number);
  } else if (!sent || sigbus_before.sa_handler == SIG_DFL) {
    /* The end. A fault happens again when we return; a signal that was sent has to be sent again. */
    signal(signal_number, SIG_DFL);
    if (sent) raise(signal_number);
  }
}

static void on_sigbus(int signal_number, siginfo_t *info, void *context) {
  int saved_errno = errno;
  uintptr_t address = (uintptr_t)info->si_addr;
  int32_t used = atomic_load(&mappings_used);
  if (info->si_code == BUS_ADRERR) {
    for (int32_t i = 0; i < used; i++) {
      mapping_t *m = &mappings[i];
      uintptr_t base = atomic_load(&m->base);
      uint64_t length = atomic_load(&m->length);
      if (!atomic_load(&m->guarded) || address < base || address - base >= length) continue;
      uintptr_t page = base + (address - base) / m->page_size * m->page_size;
      /* Page by page may run out of the process's mappings; the whole range then costs one. */
      if (!replace_with_anonymous(m, page, m->page_size) && !replace_with_anonymous(m, base, length)) break;
      atomic_store(&m->faulted, 1);
      atomic_fetch_add(&fault_count, 1);
      errno = saved_errno;
      return;
    }
  }
  errno = saved_errno;
  pass_on(signal_number, info, context);
}

static void install(void) {
  struct sigaction action = {.sa_sigaction = on_sigbus, .sa_flags = SA_SIGINFO | SA_ONSTACK};
  sigemptyset(&action.sa_mask);
  sigaction(SIGBUS, &action, &sigbus_before);
}

static pthread_once_t sigbus_once = PTHREAD_ONCE_INIT;

void sigbus_guard(void) { pthread_once(&sigbus_once, install); }
