/* A plug-in in C: the data iterator RampStream, whose sample i is the numbers i, i + 1, ... and has the label i modulo classes.
 *   cc -O2 -shared -fPIC -I ops/abi/include ops/abi/examples/ramp_stream.c -o libramp_stream.so */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "varflow_plugin.h"

#define COUNT(list) (sizeof(list) / sizeof(*(list)))

typedef struct {
  int64_t batch_size, num_batches, classes, at; /* at: the next batch of this epoch */
  vf_part part;
  int64_t data_shape[2], label_shape[1];
  vf_field fields[2];
} stream;

static vf_status create(void *context, const vf_value *values, const vf_part *part, void **instance, vf_message *message) {
  stream *s = malloc(sizeof *s);
  (void)context;
  if (!s) {
    snprintf(message->text, message->capacity, "there is no memory for an iterator");
    return VF_ERROR;
  }
  *s = (stream){.batch_size = values[0].integer, .num_batches = values[1].integer, .classes = values[2].integer, .part = *part};
  s->data_shape[0] = s->label_shape[0] = s->batch_size;
  s->data_shape[1] = 4;
  s->fields[0] = (vf_field){"data", {kDLFloat, 32, 1}, 2, s->data_shape};
  s->fields[1] = (vf_field){"softmax_label", {kDLFloat, 32, 1}, 1, s->label_shape};
  *instance = s;
  return VF_OK;
}

static void destroy(void *context, void *instance) {
  (void)context;
  free(instance);
}

static vf_status describe(void *context, void *instance, vf_provided *provided, vf_message *message) {
  stream *s = instance;
  (void)context, (void)message;
  provided->num_data = provided->num_label = 1;
  provided->fields = s->fields;
  provided->num_batches = s->num_batches;
  return VF_OK;
}

static vf_status next(void *context, void *instance, vf_batch *batch, vf_message *message) {
  stream *s = instance;
  float *data = batch->tensors[0].data, *label = batch->tensors[1].data;
  (void)context, (void)message;
  if (s->at == s->num_batches) return VF_END;
  for (int64_t i = 0; i < s->batch_size; i++) {
    /* The parts take turns, sample by sample. */
    int64_t sample = (s->at * s->batch_size + i) * s->part.num_parts + s->part.part_index;
    batch->index[i] = (uint64_t)sample;
    for (int64_t k = 0; k < 4; k++) data[4 * i + k] = (float)(sample + k);
    label[i] = (float)(sample % s->classes);
  }
  s->at++;
  return VF_OK;
}

static vf_status reset(void *context, void *instance, uint64_t epoch, vf_message *message) {
  (void)context, (void)epoch, (void)message; /* each epoch is the same */
  ((stream *)instance)->at = 0;
  return VF_OK;
}

static vf_status save(void *context, void *instance, const vf_sink *sink, vf_message *message) {
  stream *s = instance;
  (void)context, (void)message;
  sink->append(sink->host, (const uint8_t *)&s->at, sizeof s->at);
  return VF_OK;
}

static vf_status restore(void *context, void *instance, const uint8_t *bytes, size_t num_bytes, vf_message *message) {
  stream *s = instance;
  int64_t at = -1;
  (void)context;
  if (num_bytes == sizeof at) memcpy(&at, bytes, sizeof at);
  if (at < 0 || at > s->num_batches) {
    snprintf(message->text, message->capacity, "a state of %zu bytes is none of this iterator", num_bytes);
    return VF_BAD_DATA;
  }
  s->at = at;
  return VF_OK;
}

static const vf_param batch_size = {sizeof batch_size, VF_INT, "batch_size", "Samples a batch.", NULL, 1, 1 << 20, 0, 0, NULL};
static const vf_param num_batches = {sizeof num_batches, VF_INT, "num_batches", "Batches an epoch.", "10", 1, 1 << 30, 0, 0, NULL};
static const vf_param classes = {sizeof classes, VF_INT, "classes", "How many labels there are.", "10", 1, 1 << 20, 0, 0, NULL};
static const vf_param *const params[] = {&batch_size, &num_batches, &classes};
static const char *const examples[] = {"batch_size=4", "batch_size=3; num_batches=2; classes=2", NULL};

static const vf_iterator ramp_stream = {.struct_size = sizeof ramp_stream, .name = "RampStream",
                                        .doc = "Sample i is the numbers i, i + 1, i + 2, i + 3 and has the label i modulo classes.",
                                        .num_params = COUNT(params), .params = params, .examples = examples,
                                        .create = create, .destroy = destroy, .describe = describe, .next = next,
                                        .reset = reset, .save = save, .restore = restore};
static const vf_iterator *const iterators[] = {&ramp_stream};

const vf_plugin *varflow_plugin(const vf_host *host) {
  static const vf_plugin plugin = {.abi_version = VARFLOW_ABI_VERSION, .struct_size = sizeof plugin,
                                   .abi_oldest = VARFLOW_ABI_OLDEST, .name = "ramp_stream", .version = "0.1.0",
                                   .doc = "A stream of ramps.", .num_iterators = COUNT(iterators), .iterators = iterators};
  (void)host;
  return &plugin;
}
