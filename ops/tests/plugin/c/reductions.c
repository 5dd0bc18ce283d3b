/* total: sums, and copies. later_total: the same on another thread; keys that begin alike are ordered alike. */
#include <pthread.h>
#include <unistd.h>

#include "fixture.h"

static vf_status reduce(void *context, const char *key, const vf_run *run, vf_message *message) {
  if (!strcmp(key, "bad")) return fail(message, VF_ERROR, "the other side has gone");
  float *y = run->outputs[0].data;
  for (size_t i = 0; i < length(run->outputs); i++) {
    y[i] = 0;
    for (size_t k = 0; k < run->num_inputs; k++) y[i] += ((const float *)run->inputs[k].data)[i];
  }
  return VF_OK;
}
static vf_status broadcast(void *context, const char *key, const vf_run *run, vf_message *message) {
  for (size_t k = 0; k < run->num_outputs; k++) memcpy(run->outputs[k].data, run->inputs[0].data, 4 * length(run->inputs));
  return VF_OK;
}

typedef struct {
  const char *key;
  const vf_run *run;
  vf_completion done;
  int is_broadcast;
} job;
static int order[64], count;
VF_EXPORT int order_of(int i) { return order[i]; }
static void *work(void *argument) {
  job *j = argument;
  char text[64] = "";
  vf_message message = {text, sizeof text};
  int number = atoi(j->key + 1);
  if (number == 0) usleep(20000); /* the first of all takes long */
  int at = __atomic_fetch_add(&count, 1, __ATOMIC_SEQ_CST);
  if (at < 64) order[at] = number;
  vf_status status = (j->is_broadcast ? broadcast : reduce)(NULL, j->key, j->run, &message);
  j->done.complete(j->done.token, status, text);
  free(j);
  return NULL;
}
static vf_status begin(const char *key, const vf_run *run, vf_completion done, vf_message *message, int is_broadcast) {
  job *j = malloc(sizeof *j);
  *j = (job){key, run, done, is_broadcast};
  pthread_t thread;
  if (pthread_create(&thread, NULL, work, j)) return fail(message, VF_ERROR, "no thread");
  pthread_detach(thread);
  return VF_OK;
}
static vf_status reduce_async(void *context, const char *key, const vf_run *run, vf_completion done, vf_message *message) {
  return begin(key, run, done, message, 0);
}
static vf_status broadcast_async(void *context, const char *key, const vf_run *run, vf_completion done, vf_message *message) {
  return begin(key, run, done, message, 1);
}
static uint64_t ordering_key(void *context, const char *key) { return (uint64_t)key[0]; }

static const vf_reduction total = {.struct_size = sizeof(vf_reduction), .name = "total", .doc = "Sums.", .reduce = reduce, .broadcast = broadcast};
static const vf_reduction later = {.struct_size = sizeof(vf_reduction), .name = "later_total", .doc = "Sums.", .ordering_key = ordering_key,
    .reduce_async = reduce_async, .broadcast_async = broadcast_async};
static const vf_reduction *const reductions[] = {&total, &later};
static const vf_plugin plugin = {PLUGIN_HEAD, .num_reductions = COUNT(reductions), .reductions = reductions};
ENTRY(plugin)
