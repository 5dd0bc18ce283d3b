/* One operator that copies; each macro breaks it in one way. */
#include "fixture.h"

#ifndef NAME
#define NAME "Copy"
#endif
#ifndef DOC
#define DOC "Copies."
#endif
#ifndef SIZE
#define SIZE sizeof(vf_operator)
#endif
#ifndef KERNEL_SIZE
#define KERNEL_SIZE sizeof(vf_kernel)
#endif
#ifndef PLUGIN_SIZE
#define PLUGIN_SIZE sizeof(longer)
#endif
#ifndef DEVICE
#define DEVICE kDLCPU
#endif
#ifndef FLAGS
#define FLAGS 0
#endif
#ifndef KIND
#define KIND VF_INT
#endif
#ifndef DEFAULT
#define DEFAULT "3"
#endif
#ifndef BITS
#define BITS 32
#endif
#ifndef IN_PLACE
#define IN_PLACE 0
#endif
#ifndef RUN
#define RUN run
#endif
#ifndef NUM
#define NUM 1
#endif

static vf_status run(void *context, void *instance, const vf_run *run, vf_message *message) {
  memcpy(run->outputs[0].data, run->inputs[0].data, length(run->inputs) * sizeof(float));
  return VF_OK;
}
static const DLDataType dtypes[] = {{kDLFloat, BITS, 1}};
static const vf_kernel kernel = {.struct_size = KERNEL_SIZE, .device = DEVICE, .num_dtypes = 1, .dtypes = dtypes, .run = RUN};
static const vf_kernel *const kernels[] = {&kernel};
static const vf_param param = {.struct_size = sizeof(vf_param), .kind = KIND, .name = "p", .doc = "A parameter.", .default_value = DEFAULT, .int_max = 5};
static const vf_param *const params[] = {&param};
#ifndef OUT_PLACE
#define OUT_PLACE 0
#endif
#ifndef PAIRS
#define PAIRS 1
#endif
#ifndef MUTATED
#define MUTATED 0
#endif
static const vf_pair pairs[] = {{IN_PLACE, OUT_PLACE}, {IN_PLACE, OUT_PLACE}};
static const uint32_t mutated[] = {0};
/* What a later version may add. */
typedef struct {
  vf_operator known;
  void *more[4];
} longer_operator;
typedef struct {
  vf_plugin known;
  void *more[4];
} longer;
#ifdef LONGER
#undef SIZE
#define SIZE sizeof(longer_operator)
#endif
static const longer_operator op = {.known = {.struct_size = SIZE, .flags = FLAGS, .name = NAME, .doc = DOC, .num_params = 1, .params = params,
    .num_inplace = PAIRS, .inplace = pairs, .num_mutated = MUTATED, .mutated = mutated, .num_kernels = NUM, .kernels = kernels}};
static const vf_operator *const operators[] = {
    &op.known,
#ifdef TWICE
    &op.known,
#endif
#ifdef NULL_TABLE
    NULL,
#endif
};
#ifndef OPERATORS
#define OPERATORS operators
#endif
static const longer plugin = {.known = {.abi_version = ABI, .struct_size = PLUGIN_SIZE, .abi_oldest = NEEDS, .name = "minimal", .version = "1",
    .doc = "One operator.", .num_operators = COUNT(operators), .operators = OPERATORS}};

#ifdef UNWILLING
VF_EXPORT const vf_plugin *varflow_plugin(const vf_host *host) { return host ? NULL : &plugin.known; }
#elif defined(NO_ENTRY)
VF_EXPORT const vf_plugin *other_plugin(void) { return &plugin.known; }
#else
ENTRY(plugin.known)
#endif
