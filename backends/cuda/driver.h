// The CUDA driver as one table of function pointers. The library's table is loaded from the driver at run time, so that it starts on a machine without one; the
// tests' table is an emulation (tests/cuda_host/driver.h), so that all of the backend above this line runs without a card.
// Types and numbers are those of the driver's stable binary interface; tests/cuda/driver_abi_test.cpp compares them with cuda.h where there is one.
#pragma once
#include <cstddef>
#include <cstdint>

#include "core/status.h"

namespace kl::cuda {

using DevicePointer = unsigned long long;  // CUdeviceptr
using DriverContext = struct CUctx_st*;
using Stream = struct CUstream_st*;
using Event = struct CUevent_st*;
using Module = struct CUmod_st*;
using Function = struct CUfunc_st*;
using Graph = struct CUgraph_st*;
using GraphNode = struct CUgraphNode_st*;
using GraphExec = struct CUgraphExec_st*;

// CUresult, as far as the backend tells values apart.
enum DriverCode : int {
  kCudaSuccess = 0,
  kCudaInvalidValue = 1,
  kCudaOutOfMemory = 2,
  kCudaNoDevice = 100,
  kCudaNoBinary = 209,
  kCudaNotFound = 500,
  kCudaNotReady = 600,
  kCudaIllegalAddress = 700,
  kCudaNotSupported = 801,
  kCudaLaunchFailed = 719,
};

// CUdevice_attribute.
enum Attribute : int {
  kAttributeMultiprocessors = 16,
  kAttributeIntegrated = 18,
  kAttributeComputeMode = 20,
  kAttributeClockKhz = 13,
  kAttributeMajor = 75,
  kAttributeMinor = 76,
  kAttributeSharedOptin = 97,
};
inline constexpr int kComputeModeProhibited = 2;
inline constexpr int kFunctionMaxDynamicShared = 8;  // CUfunction_attribute
inline constexpr unsigned kEventDisableTiming = 2, kStreamNonBlocking = 1, kHostAllocDeviceMap = 2, kHostAllocWriteCombined = 4;

// CUDA_KERNEL_NODE_PARAMS_v2.
struct KernelNodeParams {
  Function function;
  unsigned grid_x, grid_y, grid_z, block_x, block_y, block_z, shared_bytes;
  void** params;
  void** extra;
  void* kernel;
  DriverContext context;
};

// CUgraphEdgeData.
struct GraphEdge {
  unsigned char from_port, to_port, type, reserved[5];
};
inline constexpr unsigned char kEdgeProgrammatic = 1, kPortProgrammatic = 1;

struct DeviceUuid {
  char bytes[16];
};

// X(member, symbol, parameters)
#define KL_CUDA_FUNCTIONS(X)                                                                                     \
  X(init, "cuInit", (unsigned flags))                                                                            \
  X(driver_version, "cuDriverGetVersion", (int* version))                                                        \
  X(device_count, "cuDeviceGetCount", (int* count))                                                              \
  X(device_get, "cuDeviceGet", (int* device, int ordinal))                                                       \
  X(device_name, "cuDeviceGetName", (char* name, int bytes, int device))                                         \
  X(device_uuid, "cuDeviceGetUuid", (DeviceUuid * uuid, int device))                                             \
  X(device_memory, "cuDeviceTotalMem_v2", (size_t * bytes, int device))                                          \
  X(device_attribute, "cuDeviceGetAttribute", (int* value, int attribute, int device))                           \
  X(context_create, "cuCtxCreate_v2", (DriverContext * context, unsigned flags, int device))                     \
  X(context_destroy, "cuCtxDestroy_v2", (DriverContext context))                                                 \
  X(context_push, "cuCtxPushCurrent_v2", (DriverContext context))                                                \
  X(context_pop, "cuCtxPopCurrent_v2", (DriverContext * context))                                                \
  X(memory_info, "cuMemGetInfo_v2", (size_t * free, size_t * total))                                             \
  X(memory_allocate, "cuMemAlloc_v2", (DevicePointer * address, size_t bytes))                                   \
  X(memory_free, "cuMemFree_v2", (DevicePointer address))                                                        \
  X(host_allocate, "cuMemHostAlloc", (void** address, size_t bytes, unsigned flags))                             \
  X(host_free, "cuMemFreeHost", (void* address))                                                                 \
  X(host_device_address, "cuMemHostGetDevicePointer_v2", (DevicePointer * address, void* host, unsigned flags))  \
  X(copy_to_device, "cuMemcpyHtoDAsync_v2", (DevicePointer to, const void* from, size_t bytes, Stream stream))   \
  X(copy_to_host, "cuMemcpyDtoHAsync_v2", (void* to, DevicePointer from, size_t bytes, Stream stream))           \
  X(copy_on_device, "cuMemcpyDtoDAsync_v2", (DevicePointer to, DevicePointer from, size_t bytes, Stream stream)) \
  X(stream_create, "cuStreamCreate", (Stream * stream, unsigned flags))                                          \
  X(stream_destroy, "cuStreamDestroy_v2", (Stream stream))                                                       \
  X(event_create, "cuEventCreate", (Event * event, unsigned flags))                                              \
  X(event_record, "cuEventRecord", (Event event, Stream stream))                                                 \
  X(event_query, "cuEventQuery", (Event event))                                                                  \
  X(event_destroy, "cuEventDestroy_v2", (Event event))                                                           \
  X(module_load, "cuModuleLoadData", (Module * module, const void* code))                                        \
  X(module_unload, "cuModuleUnload", (Module module))                                                            \
  X(module_function, "cuModuleGetFunction", (Function * function, Module module, const char* name))              \
  X(function_set, "cuFuncSetAttribute", (Function function, int attribute, int value))                           \
  X(graph_create, "cuGraphCreate", (Graph * graph, unsigned flags))                                              \
  X(graph_add_kernel, "cuGraphAddKernelNode_v2",                                                                 \
    (GraphNode * node, Graph graph, const GraphNode* after, size_t after_count, const KernelNodeParams* params)) \
  X(graph_instantiate, "cuGraphInstantiateWithFlags", (GraphExec * exec, Graph graph, unsigned long long flags)) \
  X(graph_launch, "cuGraphLaunch", (GraphExec exec, Stream stream))                                              \
  X(graph_exec_destroy, "cuGraphExecDestroy", (GraphExec exec))                                                  \
  X(graph_destroy, "cuGraphDestroy", (Graph graph))                                                              \
  X(error_name, "cuGetErrorName", (int code, const char** name))

// Those that only newer drivers have: null where they are missing.
#define KL_CUDA_NEWER_FUNCTIONS(X)                       \
  X(graph_add_dependencies, "cuGraphAddDependencies_v2", \
    (Graph graph, const GraphNode* from, const GraphNode* to, const GraphEdge* edges, size_t count)) /* CUDA 12.3 */

struct Driver {
#define KL_MEMBER(MEMBER, SYMBOL, PARAMETERS) int(*MEMBER) PARAMETERS = nullptr;
  KL_CUDA_FUNCTIONS(KL_MEMBER)
  KL_CUDA_NEWER_FUNCTIONS(KL_MEMBER)
#undef KL_MEMBER
};

// The machine's driver, loaded and initialised once and kept. Errors: not_found (no driver library; it lacks a function; no device), saying which.
Result<const Driver*> machine_driver();

// "CUDA_ERROR_..." for people.
const char* error_name(const Driver& driver, int code);

}  // namespace kl::cuda
