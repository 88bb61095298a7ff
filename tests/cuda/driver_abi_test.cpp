// cuda/driver.h against the toolkit's own header, where there is one.
#include "cuda/driver.h"

#include <gtest/gtest.h>

#if __has_include(<cuda.h>)
#include <cuda.h>

namespace {

using namespace kl::cuda;

static_assert(sizeof(DevicePointer) == sizeof(CUdeviceptr) && sizeof(DeviceUuid) == sizeof(CUuuid) && sizeof(int) == sizeof(CUdevice));
static_assert(sizeof(KernelNodeParams) == sizeof(CUDA_KERNEL_NODE_PARAMS));
static_assert(offsetof(KernelNodeParams, function) == offsetof(CUDA_KERNEL_NODE_PARAMS, func));
static_assert(offsetof(KernelNodeParams, grid_z) == offsetof(CUDA_KERNEL_NODE_PARAMS, gridDimZ));
static_assert(offsetof(KernelNodeParams, block_x) == offsetof(CUDA_KERNEL_NODE_PARAMS, blockDimX));
static_assert(offsetof(KernelNodeParams, shared_bytes) == offsetof(CUDA_KERNEL_NODE_PARAMS, sharedMemBytes));
static_assert(offsetof(KernelNodeParams, params) == offsetof(CUDA_KERNEL_NODE_PARAMS, kernelParams));
static_assert(offsetof(KernelNodeParams, extra) == offsetof(CUDA_KERNEL_NODE_PARAMS, extra));
static_assert(offsetof(KernelNodeParams, kernel) == offsetof(CUDA_KERNEL_NODE_PARAMS, kern));
#if CUDA_VERSION >= 12030
static_assert(sizeof(GraphEdge) == sizeof(CUgraphEdgeData) && offsetof(GraphEdge, type) == offsetof(CUgraphEdgeData, type));
static_assert(offsetof(GraphEdge, from_port) == offsetof(CUgraphEdgeData, from_port) &&
              offsetof(GraphEdge, to_port) == offsetof(CUgraphEdgeData, to_port));
static_assert(int{kEdgeProgrammatic} == CU_GRAPH_DEPENDENCY_TYPE_PROGRAMMATIC &&
              int{kPortProgrammatic} == CU_GRAPH_KERNEL_NODE_PORT_PROGRAMMATIC);
#endif
static_assert(int{kCudaOutOfMemory} == CUDA_ERROR_OUT_OF_MEMORY && int{kCudaNoDevice} == CUDA_ERROR_NO_DEVICE &&
              int{kCudaNotFound} == CUDA_ERROR_NOT_FOUND);
static_assert(int{kCudaNotReady} == CUDA_ERROR_NOT_READY && int{kCudaIllegalAddress} == CUDA_ERROR_ILLEGAL_ADDRESS);
static_assert(int{kCudaNotSupported} == CUDA_ERROR_NOT_SUPPORTED);
static_assert(int{kCudaLaunchFailed} == CUDA_ERROR_LAUNCH_FAILED && int{kCudaNoBinary} == CUDA_ERROR_NO_BINARY_FOR_GPU);
static_assert(int{kAttributeMultiprocessors} == CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT &&
              int{kAttributeIntegrated} == CU_DEVICE_ATTRIBUTE_INTEGRATED);
static_assert(int{kAttributeComputeMode} == CU_DEVICE_ATTRIBUTE_COMPUTE_MODE && int{kAttributeClockKhz} == CU_DEVICE_ATTRIBUTE_CLOCK_RATE);
static_assert(int{kAttributeMajor} == CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR &&
              int{kAttributeMinor} == CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR);
static_assert(int{kAttributeSharedOptin} == CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN &&
              kComputeModeProhibited == CU_COMPUTEMODE_PROHIBITED);
static_assert(kFunctionMaxDynamicShared == CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES &&
              kEventDisableTiming == CU_EVENT_DISABLE_TIMING);
static_assert(kStreamNonBlocking == CU_STREAM_NON_BLOCKING && kHostAllocDeviceMap == CU_MEMHOSTALLOC_DEVICEMAP);

TEST(CudaDriver, TableHasTheNumbersOfTheToolkitsHeader) { SUCCEED() << "the assertions above are the compiler's"; }

}  // namespace

#else

TEST(CudaDriver, TableHasTheNumbersOfTheToolkitsHeader) { GTEST_SKIP() << "no cuda.h on this machine"; }

#endif
