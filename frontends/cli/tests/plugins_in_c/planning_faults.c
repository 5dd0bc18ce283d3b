/* Operators that say wrong things to planners of memory, and one that says right ones. Healthy kernels otherwise, for float32. */
#include <stdlib.h>
#include <string.h>
#include "varflow_plugin.h"

#define RUN(id) static vf_status id##_run(void *context, void *instance, const vf_run *run, vf_message *message)
#define IN(i) ((const float *)run->inputs[i].data)
#define OUT(o) ((float *)run->outputs[o].data)
#define UNUSED (void)context, (void)instance, (void)message

static int64_t length(const DLTensor *t) {
  int64_t n = 1;
  for (int32_t i = 0; i < t->ndim; i++) n *= t->shape[i];
  return n;
}
static const DLDataType f32 = {kDLFloat, 32, 1};
#define OPERATOR(id, ...)                                                                                                          \
  static const vf_kernel id##_kernel = {.struct_size = sizeof(vf_kernel), .device = kDLCPU, .num_dtypes = 1, .dtypes = &f32, .run = id##_run}; \
  static const vf_kernel *const id##_kernels[] = {&id##_kernel};                                                                   \
  static const vf_operator id = {.struct_size = sizeof(vf_operator), .name = #id, .doc = "A test.", .num_kernels = 1,              \
                                 .kernels = id##_kernels, __VA_ARGS__};
static const vf_pair in_place[] = {{0, 0}, {1, 1}};
static int32_t first(void *context, const vf_call *call, uint8_t *holds_samples) {
  (void)context, (void)call;
  holds_samples[0] = 1;
  return 1;
}
static int64_t at_start(void *context, const vf_call *call) {
  (void)context, (void)call;
  return 0;
}

/* Right: a copy. */
RUN(Right) {
  UNUSED;
  memmove(OUT(0), IN(0), (size_t)length(run->inputs) * sizeof(float));
  return VF_OK;
}
OPERATOR(Right, .num_inplace = 1, .inplace = in_place, .per_sample = first, .view = at_start)

/* Again reads its input again after it has written. */
RUN(Again) {
  UNUSED;
  int64_t n = length(run->inputs);
  for (int64_t i = 0; i < n; i++) OUT(0)[i] = 3 * IN(0)[i];
  for (int64_t i = 0; i < n; i++) OUT(0)[i] -= IN(0)[i];
  return VF_OK;
}
OPERATOR(Again, .num_inplace = 1, .inplace = in_place)

/* Ahead reads what another turn of its loop writes: right in place in one order only. */
static void ahead_one(void *closure, size_t i) {
  const vf_run *run = closure;
  OUT(0)[i] = IN(0)[i] + ((int64_t)i + 1 < length(run->inputs) ? IN(0)[i + 1] : 0);
}
RUN(Ahead) {
  UNUSED;
  run->parallel_for(run->host, (size_t)length(run->inputs), ahead_one, (void *)run);
  return VF_OK;
}
OPERATOR(Ahead, .num_inplace = 1, .inplace = in_place)

/* Both can take either input's place, but not both inputs' places. */
static const char *const a_b[] = {"a", "b", NULL}, *const c_d[] = {"c", "d", NULL};
RUN(Both) {
  UNUSED;
  int64_t n = length(run->inputs);
  if (IN(0) == OUT(0)) {
    for (int64_t i = 0; i < n; i++) if (OUT(1)) OUT(1)[i] = IN(1)[i] - IN(0)[i];
    for (int64_t i = 0; i < n; i++) OUT(0)[i] = IN(0)[i] + IN(1)[i];
  } else {
    for (int64_t i = 0; i < n; i++) if (OUT(0)) OUT(0)[i] = IN(0)[i] + IN(1)[i];
    for (int64_t i = 0; i < n; i++) if (OUT(1)) OUT(1)[i] = IN(1)[i] - IN(0)[i];
  }
  return VF_OK;
}
OPERATOR(Both, .inputs = a_b, .outputs = c_d, .num_inplace = 2, .inplace = in_place)

/* Half has half of the first axis, so that its output never takes the input's place. */
static vf_status half_shape(void *context, const vf_value *values, vf_shapes *shapes, vf_message *message) {
  (void)context, (void)values, (void)message;
  if (shapes->inputs[0].ndim > 0) {
    shapes->outputs[0] = shapes->inputs[0];
    if (shapes->inputs[0].dims[0] >= 0) shapes->outputs[0].dims[0] /= 2;
  }
  return VF_OK;
}
RUN(Half) {
  UNUSED;
  memcpy(OUT(0), IN(0), (size_t)length(run->outputs) * sizeof(float));
  return VF_OK;
}
OPERATOR(Half, .infer_shape = half_shape, .num_inplace = 1, .inplace = in_place)

/* Shifted is a view of the first rows, and says that it is one of the second; Beyond, of what the input does not have. */
#define Shifted_run Half_run
#define Beyond_run Half_run
static int64_t shifted_view(void *context, const vf_call *call) {
  (void)context;
  return call->inputs[0].shape[0] < 2 ? -1 : length(call->inputs) / call->inputs[0].shape[0] * 4;
}
static int64_t beyond_view(void *context, const vf_call *call) {
  (void)context;
  return length(call->inputs) * 4;
}
OPERATOR(Shifted, .infer_shape = half_shape, .view = shifted_view)
OPERATOR(Beyond, .infer_shape = half_shape, .view = beyond_view)

/* Centred takes the first sample away from all, and says that samples are apart; Nobody says so, and of no input. */
RUN(Centred) {
  UNUSED;
  int64_t n = length(run->inputs), rows = run->inputs[0].shape[0], each = rows ? n / rows : 0;
  for (int64_t i = n - 1; i >= 0; i--) OUT(0)[i] = IN(0)[i] - IN(0)[i % each];
  return VF_OK;
}
OPERATOR(Centred, .per_sample = first)
static int32_t nobody(void *context, const vf_call *call, uint8_t *holds_samples) {
  (void)context, (void)call, (void)holds_samples;
  return 1;
}
#define Nobody_run Right_run
OPERATOR(Nobody, .per_sample = nobody)

/* Secret draws random numbers. */
RUN(Secret) {
  UNUSED;
  for (int64_t i = 0, n = length(run->inputs); i < n; i++) {
    uint32_t bits;
    run->random(run->host, (uint64_t)i, &bits, 1);
    OUT(0)[i] = IN(0)[i] + (float)(bits >> 8);
  }
  return VF_OK;
}
OPERATOR(Secret, .flags = 0)

static const vf_operator *const operators[] = {&Right, &Again, &Ahead, &Both, &Half, &Shifted, &Beyond, &Centred, &Nobody, &Secret};

const vf_plugin *varflow_plugin(const vf_host *host) {
  static const vf_plugin plugin = {.abi_version = VARFLOW_ABI_VERSION, .struct_size = sizeof plugin,
                                   .abi_oldest = VARFLOW_ABI_OLDEST, .name = "planning", .version = "1", .doc = "Faults.",
                                   .num_operators = sizeof operators / sizeof *operators, .operators = operators};
  (void)host;
  return &plugin;
}
