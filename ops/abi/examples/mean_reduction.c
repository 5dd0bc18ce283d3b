/* A plug-in in C: the kvstore reduction "mean", of float32 tensors.
 *   cc -O2 -shared -fPIC -I ops/abi/include ops/abi/examples/mean_reduction.c -o libmean_reduction.so */
#include <stdio.h>
#include <string.h>
#include "varflow_plugin.h"

#define PIECE 65536 /* elements that a worker takes at a time: the same however many workers there are */

static int64_t length(const DLTensor *t) {
  int64_t n = 1;
  for (int32_t i = 0; i < t->ndim; i++) n *= t->shape[i];
  return n;
}

static void mean_of_piece(void *closure, size_t piece) {
  const vf_run *run = closure;
  float *out = run->outputs[0].data;
  int64_t n = length(run->outputs), start = (int64_t)piece * PIECE;
  int64_t end = start + PIECE < n ? start + PIECE : n;
  for (int64_t i = start; i < end; i++) {
    float sum = 0;
    for (size_t k = 0; k < run->num_inputs; k++) sum += ((const float *)run->inputs[k].data)[i];
    out[i] = sum / (float)run->num_inputs;
  }
}

static vf_status reduce(void *context, const char *key, const vf_run *run, vf_message *message) {
  DLDataType dtype = run->outputs[0].dtype;
  (void)context;
  if (dtype.code != kDLFloat || dtype.bits != 32) {
    snprintf(message->text, message->capacity, "\"%s\" has elements of %d bits and type code %d, wanted float32", key,
             dtype.bits, dtype.code);
    return VF_BAD_DTYPE;
  }
  run->parallel_for(run->host, (size_t)((length(run->outputs) + PIECE - 1) / PIECE), mean_of_piece, (void *)run);
  return VF_OK;
}

static vf_status broadcast(void *context, const char *key, const vf_run *run, vf_message *message) {
  size_t bytes = (size_t)length(run->inputs) * (run->inputs[0].dtype.bits / 8);
  (void)context, (void)key, (void)message;
  for (size_t k = 0; k < run->num_outputs; k++)
    if (bytes > 0) memcpy(run->outputs[k].data, run->inputs[0].data, bytes);
  return VF_OK;
}

static const vf_reduction mean = {.struct_size = sizeof mean, .name = "mean",
                                  .doc = "The mean of what the devices pushed, element by element, of float32 tensors.",
                                  .reduce = reduce, .broadcast = broadcast};
static const vf_reduction *const reductions[] = {&mean};

const vf_plugin *varflow_plugin(const vf_host *host) {
  static const vf_plugin plugin = {.abi_version = VARFLOW_ABI_VERSION, .struct_size = sizeof plugin,
                                   .abi_oldest = VARFLOW_ABI_OLDEST, .name = "mean_reduction", .version = "0.1.0",
                                   .doc = "A reduction that averages.", .num_reductions = 1, .reductions = reductions};
  (void)host;
  return &plugin;
}
