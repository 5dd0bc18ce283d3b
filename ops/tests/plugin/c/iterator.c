/* Counts: batches of numbers first, first + 1, ...; its faults are chosen by a parameter. */
#include "fixture.h"

typedef struct {
  const char *how;
  int64_t dims[2];
  int64_t label_dims[1];
  vf_field fields[2];
  uint64_t epoch, at;
  uint32_t part, parts;
  char kept[16];
} stream;

static const char *const faults[] = {"none", "pad", "axes", "size", "dtype", "twice", "none_at_all", "samples", "huge", "error", "state", NULL};
PARAM(how, .kind = VF_CHOICE, .name = "how", .default_value = "none", .choices = faults)

static int live;
VF_EXPORT int live_streams(void) { return __atomic_load_n(&live, __ATOMIC_SEQ_CST); }

static vf_status create(void *context, const vf_value *values, const vf_part *part, void **instance, vf_message *message) {
  stream *s = calloc(1, sizeof *s);
  snprintf(s->kept, sizeof s->kept, "%s", values[0].text);
  s->how = s->kept;
  s->part = part->part_index;
  s->parts = part->num_parts;
  *instance = s;
  __atomic_add_fetch(&live, 1, __ATOMIC_SEQ_CST);
  return VF_OK;
}
static void destroy(void *context, void *instance) {
  free(instance);
  __atomic_sub_fetch(&live, 1, __ATOMIC_SEQ_CST);
}
static int is(const stream *s, const char *fault) { return !strcmp(s->how, fault); }
static vf_status describe(void *context, void *instance, vf_provided *provided, vf_message *message) {
  stream *s = instance;
  s->dims[0] = 2, s->dims[1] = is(s, "size") ? -1 : is(s, "huge") ? INT64_MAX : 3, s->label_dims[0] = is(s, "samples") ? 3 : 2;
  s->fields[0] = (vf_field){"data", {kDLFloat, is(s, "dtype") ? 7 : 32, 1}, is(s, "axes") ? 17 : 2, s->dims};
  s->fields[1] = (vf_field){is(s, "twice") ? "data" : "softmax_label", {kDLInt, 32, 1}, 1, s->label_dims};
  provided->num_data = is(s, "none_at_all") ? 0 : 1;
  provided->num_label = is(s, "none_at_all") ? 0 : 1;
  provided->fields = s->fields;
  provided->num_batches = 3;
  return VF_OK;
}
static vf_status next(void *context, void *instance, vf_batch *batch, vf_message *message) {
  stream *s = instance;
  if (s->at == 3) return VF_END;
  if (is(s, "error")) return fail(message, VF_BAD_DATA, "record 7 is cut off");
  float *data = batch->tensors[0].data;
  int32_t *label = batch->tensors[1].data;
  for (int i = 0; i < 6; i++) data[i] = (float)(100 * s->epoch + 10 * s->at + i);
  for (int i = 0; i < 2; i++) label[i] = (int32_t)s->part, batch->index[i] += 2 * s->at;
  batch->pad = is(s, "pad") ? 2 : s->at == 2;
  s->at++;
  return VF_OK;
}
static vf_status reset(void *context, void *instance, uint64_t epoch, vf_message *message) {
  stream *s = instance;
  s->epoch = epoch, s->at = 0;
  return VF_OK;
}
static vf_status save(void *context, void *instance, const vf_sink *sink, vf_message *message) {
  stream *s = instance;
  if (is(s, "state")) sink->append(sink->host, (const uint8_t *)s, SIZE_MAX);
  sink->append(sink->host, (const uint8_t *)&s->epoch, 8);
  sink->append(sink->host, (const uint8_t *)&s->at, 8);
  return VF_OK;
}
static vf_status restore(void *context, void *instance, const uint8_t *bytes, size_t num_bytes, vf_message *message) {
  stream *s = instance;
  if (num_bytes != 16) return fail(message, VF_BAD_DATA, "the state has other than 16 bytes");
  memcpy(&s->epoch, bytes, 8);
  memcpy(&s->at, bytes + 8, 8);
  return VF_OK;
}
static const char *const examples[] = {"how=none", NULL};
static const vf_iterator counts = {.struct_size = sizeof(vf_iterator), .name = "CountIter", .doc = "Counts.", PARAMS(how), .examples = examples,
    .create = create, .destroy = destroy, .describe = describe, .next = next, .reset = reset, .save = save, .restore = restore};
static const vf_iterator forgetful = {.struct_size = sizeof(vf_iterator), .name = "ForgetfulIter", .doc = "Counts.", PARAMS(how),
    .create = create, .destroy = destroy, .describe = describe, .next = next, .reset = reset};
static const vf_iterator *const iterators[] = {&counts, &forgetful};
static const vf_plugin plugin = {PLUGIN_HEAD, .num_iterators = COUNT(iterators), .iterators = iterators};
ENTRY(plugin)
