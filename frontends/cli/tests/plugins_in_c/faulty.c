/* The operator Affine, output = 2 * data + 1, with its gradient; compiled with -DFAULT=n, with one fault of many. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "varflow_plugin.h"

#ifndef FAULT
#define FAULT 0
#endif
enum {
  NONE, WRONG_GRADIENT, WRONG_SHAPE, WRITES_INPUT, UNWRITTEN, OUT_OF_BOUNDS, RACE, PANIC, ABORT, LEAK, FALSE_DTYPE,
  READS_OUTPUT, NOT_IN_PLACE, UNDERRUN, HANG, NULL_READ, LEAKS_INSTANCE, NO_DOC, EXITS, NAN_GRADIENT, WRONG_BACKWARDS
};

static int64_t length(const DLTensor *t) {
  int64_t n = 1;
  for (int32_t i = 0; i < t->ndim; i++) n *= t->shape[i];
  return n;
}

static float scratch[4096];

static vf_status forward(void *context, void *instance, const vf_run *run, vf_message *message) {
  const float *x = run->inputs[0].data;
  float *y = run->outputs[0].data;
  int64_t n = length(run->inputs);
  (void)context, (void)instance;
  if (FAULT == FALSE_DTYPE && run->inputs[0].dtype.bits != 32) {
    strcpy(message->text, "wanted float32");
    return VF_BAD_DTYPE;
  }
  if (FAULT == PANIC) {
    strcpy(message->text, "index out of range");
    return VF_PANICKED;
  }
  if (FAULT == ABORT) abort();
  if (FAULT == EXITS) exit(0);
  if (FAULT == HANG) for (volatile int go = 1; go;) {}
  if (FAULT == NULL_READ) y[0] = *(const volatile float *)0;
  if (FAULT == LEAK) *(volatile char *)malloc(48) = 1;
  if (FAULT == RACE) {
    for (int64_t i = 0; i < n && i < 4096; i++) scratch[i] = 2 * x[i] + 1;
    for (volatile int pause = 0; pause < 2000; pause++) {}
    for (int64_t i = 0; i < n && i < 4096; i++) y[i] = scratch[i];
    return VF_OK;
  }
  if (FAULT == READS_OUTPUT) {
    for (int64_t i = 0; i < n; i++) y[i] = 2 * x[i] + 1 + (y[i] < 0 ? 1 : 0);
    return VF_OK;
  }
  if (FAULT == NOT_IN_PLACE) { /* reads behind what it has written */
    for (int64_t i = 0; i < n; i++) y[i] = 2 * x[i] + 1 + 0 * x[0];
    if (n > 1 && (const void *)x == (const void *)y) y[1] += 1;
    return VF_OK;
  }
  for (int64_t i = 0; i < n - (FAULT == UNWRITTEN); i++) y[i] = 2 * x[i] + 1;
  if (FAULT == WRITES_INPUT) ((float *)x)[n - 1] = 0;
  if (FAULT == OUT_OF_BOUNDS) y[n] = 1;
  if (FAULT == UNDERRUN) y[-1] = 1;
  return VF_OK;
}

static vf_status backward(void *context, void *instance, const vf_run *run, vf_message *message) {
  const float *g = run->inputs[0].data;
  float *dx = run->outputs[0].data;
  (void)context, (void)instance, (void)message;
  for (int64_t i = 0, n = length(run->inputs); i < n; i++) dx[i] = FAULT == NAN_GRADIENT ? NAN : (FAULT == WRONG_GRADIENT ? 3 : 2) * g[i];
  return VF_OK;
}

static vf_status create(void *context, const vf_call *call, void **instance, size_t *workspace_bytes, vf_message *message) {
  (void)context, (void)call, (void)workspace_bytes, (void)message;
  *instance = malloc(64);
  return VF_OK;
}

static void destroy(void *context, void *instance) {
  (void)context;
  if (FAULT != LEAKS_INSTANCE) free(instance);
}

static vf_status infer_shape(void *context, const vf_value *values, vf_shapes *shapes, vf_message *message) {
  (void)context, (void)values, (void)message;
  if (shapes->inputs[0].ndim >= 0) {
    shapes->outputs[0] = shapes->inputs[0];
    if (FAULT == WRONG_SHAPE && shapes->outputs[0].ndim > 0) shapes->outputs[0].dims[0]++;
  } else {
    shapes->inputs[0] = shapes->outputs[0];
    if (FAULT == WRONG_BACKWARDS && shapes->inputs[0].ndim > 0) shapes->inputs[0].dims[0]++;
  }
  return VF_OK;
}

static const DLDataType dtypes[] = {{kDLFloat, 32, 1}, {kDLFloat, 64, 1}};
#define NUM_DTYPES (FAULT == FALSE_DTYPE ? 2 : 1)
static const vf_kernel kernel = {sizeof kernel, kDLCPU, NUM_DTYPES, dtypes, NULL, create, destroy, forward, NULL};
static const vf_kernel kernel_back = {sizeof kernel_back, kDLCPU, 1, dtypes, NULL, NULL, NULL, backward, NULL};
static const vf_kernel *const kernels[] = {&kernel}, *const kernels_back[] = {&kernel_back};
static const vf_pair inplace[] = {{0, 0}};
static const vf_backward gradient = {.struct_size = sizeof gradient, .num_kernels = 1, .kernels = kernels_back};
static const vf_operator affine = {.struct_size = sizeof affine, .name = "Affine",
                                   .doc = FAULT == NO_DOC ? " " : "output = 2 * data + 1.",
                                   .num_inplace = FAULT == WRONG_SHAPE ? 0 : 1, .inplace = inplace, .infer_shape = infer_shape,
                                   .backward = &gradient, .num_kernels = 1, .kernels = kernels};
static const vf_operator *const operators[] = {&affine};

const vf_plugin *varflow_plugin(const vf_host *host) {
  static const vf_plugin plugin = {.abi_version = VARFLOW_ABI_VERSION, .struct_size = sizeof plugin,
                                   .abi_oldest = VARFLOW_ABI_OLDEST, .name = "faulty", .version = "1", .doc = "Faults.",
                                   .num_operators = 1, .operators = operators};
  (void)host;
  return &plugin;
}
