// What the machine is, asked of the operating system.
#pragma once
#include <cstdint>
#include <string>

namespace kl::cpu {

std::string cpu_model_name();      // "AMD EPYC", or the architecture where the system does not say
uint64_t physical_memory_bytes();  // 0 where the system does not say
uint32_t usable_cores();           // that this process may run on; at least 1

}  // namespace kl::cpu
