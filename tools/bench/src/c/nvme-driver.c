/* A polling NVMe driver over vfio-user, in a process of its own: shared memory, one queue pair or some, doorbells in a mapped
 * page or trapped. No interrupts. Section numbers are NVM Express Base 2.0's.
 * usage: nvme-driver SOCKET OPCODE BYTES DEPTH SECONDS mapped|trapped CPU PID [QUEUES [prp|sgl|sgl-pages]]
 * DEPTH is of each queue. Data is described by PRP entries, an SGL data block, or one for each page in a last segment.
 * Prints, as JSON, the commands done, the seconds they took, and the CPU time that process PID (the device) used. */
#include "vfio-user.h"

enum { PAGE = 4096, QUEUE = 1024, ADMIN = 32 };
enum { SLOT_BYTES = 1 << 17, DEPTH_MAX = 256, QUEUES_MAX = 8 };
/* Guest memory: admin queues, I/O queues, PRP lists or SGL segments, data. */
enum {
  ADMIN_SQ = 0, ADMIN_CQ = PAGE, IO = 16 * PAGE, IO_PAIR = QUEUE * (64 + 16), LISTS = IO + QUEUES_MAX * IO_PAIR,
  DATA = LISTS + DEPTH_MAX * PAGE, RAM = DATA + DEPTH_MAX * SLOT_BYTES
};
/* What is read and written of the drive, bytes. */
enum { SPAN = 256 << 20 };
static const uint64_t BASE = 0x100000000u;

struct command { uint8_t opcode, flags; uint16_t id; uint32_t nsid, d2, d3; uint64_t meta, prp1, prp2; uint32_t d10, d11, d12, d13, d14, d15; };
struct descriptor { uint64_t address; uint32_t length; uint8_t reserved[3], type; };
struct completion { uint32_t d0, d1; uint16_t head, queue, id, status; };
struct queue { volatile struct command *sq; volatile struct completion *cq; uint32_t depth, tail, head, phase; int sq_doorbell, cq_doorbell; };

static int sock;
static char *ram;
static volatile uint32_t *doorbells;

static uint32_t read_register(uint32_t offset) {
  struct region_access m;
  char reply[256];
  send_message(sock, &m, access_request(&m, REGION_READ, REGION_BAR0, offset, 4), -1);
  receive_message(sock, reply, sizeof reply, NULL);
  uint32_t value;
  memcpy(&value, reply + 32, 4);
  return value;
}

static void write_region(uint32_t region, uint64_t offset, const void *data, uint32_t count) {
  struct region_access m;
  char reply[256];
  size_t size = access_request(&m, REGION_WRITE, region, offset, count);
  memcpy(m.data, data, count);
  send_message(sock, &m, size, -1);
  receive_message(sock, reply, sizeof reply, NULL);
}

static void ring(int doorbell, uint32_t value) {
  if (doorbells) __atomic_store_n(&doorbells[doorbell], value, __ATOMIC_RELEASE);
  else write_region(REGION_BAR0, 0x1000 + 4 * (uint64_t)doorbell, &value, 4);
}

static void map_ram(void) {
  int fd = memfd_create("guest", MFD_CLOEXEC);
  if (fd < 0 || ftruncate(fd, RAM)) die("memfd");
  ram = mmap(NULL, RAM, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (ram == MAP_FAILED) die("mmap");
  memset(ram, 0, RAM);
  struct { struct header h; uint32_t argsz, flags; uint64_t offset, address, size; } m =
    { { 3, DMA_MAP, sizeof m, 0, 0 }, sizeof m - 16, 3, 0, BASE, RAM };
  char reply[256];
  send_message(sock, &m, sizeof m, fd);
  receive_message(sock, reply, sizeof reply, NULL);
}

/* The sparse mmap area of BAR0 holds the doorbells (vfio-user.rst, VFIO_USER_DEVICE_GET_REGION_INFO). */
static void map_doorbells(void) {
  struct { struct header h; uint32_t argsz, flags, index, capability; uint64_t size, offset; } m =
    { { 4, GET_REGION_INFO, sizeof m, 0, 0 }, PAGE - 32, 0, REGION_BAR0, 0, 0, 0 };
  struct { struct header h; uint32_t argsz, flags, index, capability; uint64_t size, offset;
           uint16_t id, version; uint32_t next, areas, reserved; uint64_t area_offset, area_size; } reply;
  char raw[PAGE];
  send_message(sock, &m, sizeof m, -1);
  int fd = receive_message(sock, raw, sizeof raw, NULL);
  memcpy(&reply, raw, sizeof reply);
  if (fd < 0) { fprintf(stderr, "no doorbells to map\n"); exit(1); }
  doorbells = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, (off_t)(reply.offset + reply.area_offset));
  if (doorbells == MAP_FAILED) die("mmap doorbells");
}

static inline void submit(struct queue *q, const struct command *c) {
  memcpy((void *)&q->sq[q->tail], c, sizeof *c);
  if (++q->tail == q->depth) q->tail = 0;
}

/* Takes one completion; answers its command identifier, or -1 when there is none. */
static inline int take(struct queue *q) {
  volatile struct completion *c = &q->cq[q->head];
  uint32_t last = __atomic_load_n((volatile uint32_t *)&c->id, __ATOMIC_ACQUIRE);
  if ((last >> 16 & 1) != q->phase) return -1;
  if (last >> 17) { fprintf(stderr, "command %u failed with status %x\n", last & 0xffff, last >> 17); exit(1); }
  if (++q->head == q->depth) { q->head = 0; q->phase ^= 1; }
  return (int)(last & 0xffff);
}

static void admin(struct queue *q, struct command c) {
  submit(q, &c);
  ring(q->sq_doorbell, q->tail);
  for (uint64_t until = now_ns() + 5000000000u; take(q) < 0;)
    if (now_ns() > until) { fprintf(stderr, "admin command %02x not answered\n", c.opcode); exit(1); }
  ring(q->cq_doorbell, q->head);
}

/* 3.5.1: memory space and bus master on, admin queues, CC.EN, CSTS.RDY; then pairs of I/O queues. */
static void start(struct queue *a, struct queue *io, uint32_t pairs) {
  uint16_t on = 6;
  uint32_t off = 0, aqa = (ADMIN - 1) << 16 | (ADMIN - 1), enable = 4 << 20 | 6 << 16 | 1;
  uint64_t asq = BASE + ADMIN_SQ, acq = BASE + ADMIN_CQ;
  write_region(REGION_CONFIG, 4, &on, 2);
  write_region(REGION_BAR0, 0x14, &off, 4);
  while (read_register(0x1c) & 1) usleep(1000);
  write_region(REGION_BAR0, 0x24, &aqa, 4);
  write_region(REGION_BAR0, 0x28, &asq, 8);
  write_region(REGION_BAR0, 0x30, &acq, 8);
  write_region(REGION_BAR0, 0x14, &enable, 4);
  while (!(read_register(0x1c) & 1)) usleep(1000);
  *a = (struct queue){ (void *)(ram + ADMIN_SQ), (void *)(ram + ADMIN_CQ), ADMIN, 0, 0, 1, 0, 1 };
  for (uint32_t id = 1; id <= pairs; id++) {
    uint64_t sq = IO + (uint64_t)(id - 1) * IO_PAIR, cq = sq + QUEUE * 64;
    io[id - 1] = (struct queue){ (void *)(ram + sq), (void *)(ram + cq), QUEUE, 0, 0, 1, (int)(2 * id), (int)(2 * id + 1) };
    admin(a, (struct command){ .opcode = 5, .prp1 = BASE + cq, .d10 = (QUEUE - 1) << 16 | id, .d11 = 1 });
    admin(a, (struct command){ .opcode = 1, .prp1 = BASE + sq, .d10 = (QUEUE - 1) << 16 | id, .d11 = id << 16 | 1 });
  }
}

/* 4.1.1: PRP entries, and a list where there are more than two. */
static void point_by_prp(struct command *c, uint64_t data, uint64_t list, uint32_t bytes) {
  c->prp1 = data;
  if (bytes > PAGE) c->prp2 = data + PAGE;
  if (bytes <= 2 * PAGE) return;
  c->prp2 = BASE + list;
  for (uint32_t at = PAGE, i = 0; at < bytes; at += PAGE, i++) ((uint64_t *)(ram + list))[i] = data + at;
}

/* 4.1.2: one data block in the command, or a last segment of them. */
static void point_by_sgl(struct command *c, uint64_t data, uint64_t list, uint32_t bytes, int by_page) {
  struct descriptor sgl1 = { data, bytes, { 0 }, 0 }, *segment = (void *)(ram + list);
  c->flags = 1 << 6;
  if (by_page) {
    for (uint32_t at = 0; at < bytes; at += PAGE)
      segment[at / PAGE] = (struct descriptor){ data + at, bytes - at < PAGE ? bytes - at : PAGE, { 0 }, 0 };
    sgl1 = (struct descriptor){ BASE + list, (bytes + PAGE - 1) / PAGE * sizeof sgl1, { 0 }, 3 << 4 };
  }
  memcpy(&c->prp1, &sgl1, sizeof sgl1);
}

/* The command of one slot; every slot has data and a list of its own. */
static struct command prepare(int opcode, uint32_t bytes, int slot, const char *pointers) {
  uint64_t data = BASE + DATA + (uint64_t)slot * (bytes > PAGE ? bytes : PAGE), list = LISTS + (uint64_t)slot * PAGE;
  struct command c = { .opcode = (uint8_t)opcode, .id = (uint16_t)slot, .nsid = 1, .d12 = bytes / 512 - 1 };
  if (!strcmp(pointers, "prp")) point_by_prp(&c, data, list, bytes);
  else point_by_sgl(&c, data, list, bytes, !strcmp(pointers, "sgl-pages"));
  return c;
}

/* Writes the first SPAN bytes once, so that what is timed meets blocks that exist. */
static void fill(struct queue *io) {
  struct command c = prepare(1, SLOT_BYTES, 0, "prp");
  for (uint64_t at = 0; at < SPAN; at += SLOT_BYTES) {
    c.d10 = (uint32_t)(at / 512);
    submit(io, &c);
    ring(io->sq_doorbell, io->tail);
    while (take(io) < 0) ;
    ring(io->cq_doorbell, io->head);
  }
}

/* User and system time of all threads of a process, seconds (proc(5), /proc/pid/stat fields 14 and 15). */
static double cpu_seconds(const char *pid) {
  char path[64], text[1024], *at;
  unsigned long user = 0, system = 0;
  snprintf(path, sizeof path, "/proc/%s/stat", pid);
  FILE *f = fopen(path, "r");
  size_t n = f ? fread(text, 1, sizeof text - 1, f) : 0;
  if (f) fclose(f);
  text[n] = 0;
  if ((at = strrchr(text, ')'))) sscanf(at + 2, "%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &system);
  return (double)(user + system) / (double)sysconf(_SC_CLK_TCK);
}

/* What is common to all queues, and the slots that are free of each. */
struct load { struct command commands[DEPTH_MAX]; uint64_t blocks, random, done; uint32_t step; };
struct stream { struct queue *io; int free[DEPTH_MAX], free_count; };

/* One turn of a queue: fills it with commands at random positions, then takes what has completed. */
static inline void turn(struct load *l, struct stream *s) {
  int started = 0, taken = 0;
  for (; s->free_count; started++) {
    struct command *c = &l->commands[s->free[--s->free_count]];
    l->random ^= l->random << 13; l->random ^= l->random >> 7; l->random ^= l->random << 17;
    c->d10 = (uint32_t)(l->random % l->blocks * l->step);
    submit(s->io, c);
  }
  if (started) ring(s->io->sq_doorbell, s->io->tail);
  for (int id; (id = take(s->io)) >= 0; taken++) s->free[s->free_count++] = id;
  if (taken) ring(s->io->cq_doorbell, s->io->head);
  l->done += (uint64_t)taken;
}

int main(int argc, char **argv) {
  if (argc < 9) return 2;
  int opcode = (int)strtol(argv[2], NULL, 0), depth = atoi(argv[4]), pairs = argc > 9 ? atoi(argv[9]) : 1;
  const char *pointers = argc > 10 ? argv[10] : "prp";
  uint32_t bytes = (uint32_t)atoi(argv[3]);
  if (depth < 1 || pairs < 1 || pairs > QUEUES_MAX || depth * pairs > DEPTH_MAX) return 2;
  if (bytes < 512 || bytes > SLOT_BYTES) return 2;
  double seconds = atof(argv[5]);
  pin(atoi(argv[7]));
  sock = connect_to(argv[1]);
  negotiate(sock);
  map_ram();
  if (!strcmp(argv[6], "mapped")) map_doorbells();
  struct queue a, io[QUEUES_MAX];
  start(&a, io, (uint32_t)pairs);

  fill(&io[0]);
  static struct load l;
  static struct stream streams[QUEUES_MAX];
  l = (struct load){ .blocks = SPAN / bytes, .random = 88172645463325252u, .step = bytes / 512 };
  for (int i = 0; i < depth * pairs; i++) {
    struct stream *s = &streams[i % pairs];
    l.commands[i] = prepare(opcode, bytes, i, pointers);
    s->io = &io[i % pairs];
    s->free[s->free_count++] = i;
  }
  uint64_t begin = 0, counted = 0, moved = 0, progress = now_ns();
  uint64_t warm = progress + (uint64_t)(seconds < 1.5 ? seconds * 1e9 : 1.5e9);
  double cpu = 0;
  for (uint32_t turns = 0;; turns++) {
    for (int i = 0; i < pairs; i++) turn(&l, &streams[i]);
    if (turns & 63) continue;
    uint64_t t = now_ns();
    if (l.done != moved) { moved = l.done; progress = t; }
    if (t > progress + 10000000000u) { fprintf(stderr, "stuck after %llu commands\n", (unsigned long long)l.done); return 1; }
    if (!begin && t > warm) { begin = t; counted = l.done; cpu = cpu_seconds(argv[8]); }
    if (begin && t > begin + (uint64_t)(seconds * 1e9)) {
      printf("{\"commands\":%llu,\"seconds\":%.6f,\"cpuSeconds\":%.3f}\n", (unsigned long long)(l.done - counted),
             (double)(t - begin) / 1e9, cpu_seconds(argv[8]) - cpu);
      return 0;
    }
  }
}
